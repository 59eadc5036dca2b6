package assembly

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"

	"gatehouse/gitserver/fault"
)

// Before an assembly changes anything in a cluster, it remembers there what it will change: a Secret with
// the objects as the assembly before it had applied them. The cluster itself knows that, by the
// fields that it says are ours. So a deploy that fails, and one in which the server was killed, are
// put back by whoever comes next. The Secret goes with its assembly, or when the one before is destroyed:
// then there is nothing to go back to.

// memory is what is remembered.
type memory struct {
	Applied []objectID `json:"applied"` // what the assembly applies
	Before  []object   `json:"before"`  // what was there of it, as we had applied it
}

// maxRecord bounds a record when it is read: manifests and what was there of them.
const maxRecord = 8 << 20

func (d *Kubernetes) recordID(id int64) objectID {
	return objectID{APIVersion: "v1", Kind: "Secret", Name: "gate-" + d.label(id) + "-before"}
}

// remember writes the record of s down.
func (d *Kubernetes) remember(ctx context.Context, op string, s Spec, place string, objects, before []object) error {
	r := memory{Before: before}
	for _, o := range objects {
		r.Applied = append(r.Applied, o.id())
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	err := json.NewEncoder(w).Encode(r)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fault.Wrap(err, fault.Internal, op, "what is in the cluster could not be remembered")
	}
	o := object{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": d.recordID(s.ID).Name}, "type": "Opaque",
		"data": map[string]any{"before": base64.StdEncoding.EncodeToString(packed.Bytes())},
	}
	labels := map[string]string{labelManager: fieldManager, labelAssembly: d.label(s.ID), labelPlace: place}
	for _, b := range before {
		if label := b.label(labelAssembly); label != "" {
			labels[labelBefore] = label // all but leftovers are of the same one
		}
	}
	o.mark(labels)
	return d.cluster.apply(ctx, op, s.Namespace, o, false)
}

// recalled is the record of an assembly; ok is false when there is none.
func (d *Kubernetes) recalled(ctx context.Context, op, namespace string, id int64) (r memory, ok bool, err error) {
	o, err := d.cluster.get(ctx, op, namespace, d.recordID(id))
	if fault.Is(err, fault.NotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	text, _ := o.sub("data")["before"].(string)
	packed, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		var from io.Reader
		if from, err = gzip.NewReader(bytes.NewReader(packed)); err == nil {
			err = json.NewDecoder(io.LimitReader(from, maxRecord)).Decode(&r)
		}
	}
	if err != nil {
		return r, false, fault.Wrap(err, fault.Unavailable, op, "what was remembered in the cluster cannot be read")
	}
	return r, true, nil
}

// revert puts back what the assembly changed, and removes what it brought. Without a record it
// changed nothing, or there is nothing to go back to.
func (d *Kubernetes) revert(ctx context.Context, op, namespace string, id int64) error {
	r, ok, err := d.recalled(ctx, op, namespace, id)
	if err != nil || !ok {
		return err
	}
	for _, o := range r.Before {
		there, err := d.cluster.get(ctx, op, namespace, o.id())
		if fault.Is(err, fault.NotFound) || err == nil && there.label(labelAssembly) != d.label(id) {
			continue // not changed yet, or somebody has done something else with it since
		}
		if err != nil {
			return err
		}
		if err := d.cluster.apply(ctx, op, namespace, o, false); err != nil {
			return err
		}
	}
	return d.remove(ctx, op, namespace, r.Applied, labelAssembly, d.label(id)) // and the record, which is a Secret
}

// Sweep puts back and removes what a deploy left that the server did not live to see the end of.
func (d *Kubernetes) Sweep(ctx context.Context, s Spec) error {
	if s.Namespace == "" {
		return nil // the plan never said where, so nothing was applied
	}
	return d.revert(ctx, "assembly.Kubernetes.Sweep", s.Namespace, s.ID)
}

// remove deletes all objects of the kinds of ids that have a label. One that changed between the look and
// the deletion is looked at again: it may have another label by then.
func (d *Kubernetes) remove(ctx context.Context, op, namespace string, ids []objectID, label, value string) error {
	seen := map[string]bool{}
	for _, id := range ids {
		kind := id.APIVersion + " " + id.Kind
		if seen[kind] {
			continue
		}
		seen[kind] = true
		for try := 1; ; try++ {
			again, err := d.removeKind(ctx, op, namespace, id, label+"="+value)
			if err != nil {
				return err
			}
			if !again {
				break
			}
			if try == removeTries {
				return fault.Newf(fault.Unavailable, op, "objects of the kind %s change faster than they can be deleted", id.Kind)
			}
		}
	}
	return nil
}

// removeTries is how often objects are looked at again that change while they are deleted: a
// controller writes a few times when it hears of something.
const removeTries = 20

func (d *Kubernetes) removeKind(ctx context.Context, op, namespace string, id objectID, selector string) (again bool, err error) {
	list, err := d.cluster.list(ctx, op, namespace, id, selector)
	if err != nil {
		return false, err
	}
	for _, o := range list {
		if o.meta("deletionTimestamp") != "" {
			continue // its end has begun
		}
		one := objectID{APIVersion: id.APIVersion, Kind: id.Kind, Name: o.id().Name}
		err := d.cluster.delete(ctx, op, namespace, one, o.meta("uid"), o.meta("resourceVersion"))
		switch {
		case fault.Is(err, fault.Conflict):
			again = true
		case err != nil && !fault.Is(err, fault.NotFound):
			return false, err
		}
	}
	return again, nil
}
