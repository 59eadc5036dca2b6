package assembly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

const (
	// clusterTimeout bounds one request to a cluster.
	clusterTimeout = 30 * time.Second
	// maxClusterAnswer bounds an answer: a list of all that an assembly may consist of.
	maxClusterAnswer = 16 << 20
)

// cluster speaks to a Kubernetes API server: four verbs, by the server's own REST
// (https://kubernetes.io/docs/reference/using-api/api-concepts/). Sign-in and TLS are client-go's; its
// typed and dynamic clients would make this program half as large again.
type cluster struct {
	client *http.Client
	base   *url.URL
}

// url is where an object, or with no name a kind, is.
func (c *cluster) url(namespace string, id objectID, query url.Values) string {
	group := []string{"api", id.APIVersion}
	if strings.Contains(id.APIVersion, "/") {
		group[0] = "apis"
	}
	u := c.base.JoinPath(append(group, "namespaces", namespace, kinds[id.APIVersion+" "+id.Kind], id.Name)...)
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery = query.Encode()
	return u.String()
}

func (c *cluster) get(ctx context.Context, op, namespace string, id objectID) (object, error) {
	var o object
	return o, c.do(ctx, op, http.MethodGet, c.url(namespace, id, nil), "get "+id.String(), "", nil, &o)
}

// apply is a server-side apply (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
// JSON is YAML, so that the body may be JSON. A dry one is checked as any other, and changes nothing.
func (c *cluster) apply(ctx context.Context, op, namespace string, o object, dry bool) error {
	query := url.Values{"fieldManager": {fieldManager}, "fieldValidation": {"Strict"}}
	if dry {
		query.Set("dryRun", "All")
	}
	return c.do(ctx, op, http.MethodPatch, c.url(namespace, o.id(), query), "apply "+o.id().String(), "application/apply-patch+yaml", o, nil)
}

func (c *cluster) list(ctx context.Context, op, namespace string, id objectID, selector string) ([]object, error) {
	var list struct{ Items []object }
	kind := objectID{APIVersion: id.APIVersion, Kind: id.Kind}
	err := c.do(ctx, op, http.MethodGet, c.url(namespace, kind, url.Values{"labelSelector": {selector}}), "list objects of the kind "+id.Kind, "", nil, &list)
	return list.Items, err
}

// delete deletes the very object that was seen, as it was seen, and what belongs to it. The error is
// of the kind Conflict when it is another one by now.
func (c *cluster) delete(ctx context.Context, op, namespace string, id objectID, uid, version string) error {
	options := map[string]any{
		"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": map[string]any{"uid": uid, "resourceVersion": version},
	}
	err := c.do(ctx, op, http.MethodDelete, c.url(namespace, id, nil), "delete "+id.String(), "application/json", options, nil)
	var refused *clusterRefusal
	if errors.As(err, &refused) && refused.status == http.StatusConflict {
		return fault.Wrap(err, fault.Conflict, op, "the object changed meanwhile")
	}
	return err
}

// clusterRefusal is an answer that is no success.
type clusterRefusal struct{ status int }

func (r *clusterRefusal) Error() string { return fmt.Sprintf("the cluster answered %d", r.status) }

// do makes one request. A refusal of the cluster keeps the cluster's own words.
func (c *cluster) do(ctx context.Context, op, method, to, what, kind string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fault.Wrap(err, fault.Refused, op, "the manifest cannot be written as JSON")
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return fault.Wrap(err, fault.Internal, op, "no request")
	}
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	answer, err := c.client.Do(req)
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Op: op, Public: "the cluster does not answer", Next: "see that the server can reach it", Err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxClusterAnswer))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the cluster's answer broke off")
	}
	if answer.StatusCode >= 300 {
		var said struct{ Message string }
		_ = json.Unmarshal(text, &said) // a proxy before it says something else
		return &fault.Error{
			Kind: clusterKind(answer.StatusCode, said.Message), Op: op, Public: fmt.Sprintf("the cluster does not %s (%d): %s", what, answer.StatusCode, clusterWords(said.Message)),
			Next: clusterNext(answer.StatusCode), Err: &clusterRefusal{answer.StatusCode},
		}
	}
	if out == nil {
		return nil
	}
	return fault.Wrap(json.Unmarshal(text, out), fault.Unavailable, op, "the cluster's answer is no JSON")
}
