package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// statementType is that of an in-toto statement (in-toto attestation framework, v1).
const statementType = "application/vnd.in-toto+json"

// ArtifactPath names an artifact.
type ArtifactPath struct {
	RepositoryPath
	Digest string `path:"digest" maxLength:"80" doc:"sha256: and its digits, or the beginning of them."`
}

func (a ArtifactPath) repository() string { return strings.ReplaceAll(a.Repository, "~", "/") }

// AssemblyPath names an assembly.
type AssemblyPath struct {
	RepositoryPath
	ID int64 `path:"id" minimum:"1"`
}

// NewSecret is the value of a secret.
type NewSecret struct {
	Value  string `json:"value" maxLength:"90000"`
	Base64 bool   `json:"base64,omitempty" doc:"The value is encoded in base64, for what is not UTF-8."`
}

func (s *Server) artifactRoutes() {
	const artifacts, assemblies, secrets = "/repositories/{repository}/artifacts", "/repositories/{repository}/assemblies", "/repositories/{repository}/secrets"
	add(s, route{id: "list-artifacts", at: "GET " + artifacts, summary: "What the stages of a repository made, newest first", open: true}, s.listArtifacts)
	add(s, route{id: "get-artifact", at: "GET " + artifacts + "/{digest}", summary: "An artifact: where it came from, where it runs, who accepted it", open: true}, s.getArtifact)
	add(s, route{id: "artifact-content", at: "GET " + artifacts + "/{digest}/content", summary: "The content of an artifact: the file, or the tar archive of the others", open: true}, s.artifactContent)
	add(s, route{id: "artifact-statement", at: "GET " + artifacts + "/{digest}/statement", summary: "The provenance of an artifact, as an in-toto statement", open: true}, s.artifactStatement)
	add(s, route{id: "revoke-artifact", at: "POST " + artifacts + "/{digest}/revoke", summary: "Take an artifact back: it enters no environment any more, until an owner restores it"}, s.revokeArtifact)
	add(s, route{id: "restore-artifact", at: "POST " + artifacts + "/{digest}/restore", summary: "Let an artifact in again that was revoked by mistake"}, s.restoreArtifact)
	add(s, route{id: "artifact-envelope", at: "GET " + artifacts + "/{digest}/envelope", summary: "The provenance of an artifact, signed: a DSSE envelope", open: true}, s.artifactEnvelope)
	add(s, route{id: "signing-keys", at: "GET /signing-keys", summary: "The public keys that the provenance of artifacts is signed with, newest first", open: true}, s.signingKeys)
	add(s, route{id: "rotate-signing-key", at: "POST /signing-keys", summary: "Sign with a new key from now on; what the old ones signed is still verified", status: 201}, s.rotateSigningKey)
	add(s, route{id: "list-assemblies", at: "GET " + assemblies, summary: "What runs of a branch, with addresses", open: true}, s.listAssemblies)
	add(s, route{id: "assembly-log", at: "GET " + assemblies + "/{id}/log", summary: "The end of what an assembly says, as text"}, s.assemblyLog)
	add(s, route{id: "stop-assembly", at: "POST " + assemblies + "/{id}/stop", summary: "End an assembly that a change has for itself"}, s.stopAssembly)
	add(s, route{id: "list-secrets", at: "GET " + secrets, summary: "Name the secrets of a repository"}, s.listSecrets)
	add(s, route{id: "set-secret", at: "PUT " + secrets + "/{name}", summary: "Keep a secret for the stages and assemblies that ask for it; its value is never answered"}, s.setSecret)
	add(s, route{id: "remove-secret", at: "DELETE " + secrets + "/{name}", summary: "Forget a secret"}, s.removeSecret)
}

func (s *Server) listArtifacts(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	Page
}) (*answer[list[gatekeeper.Built]], error) {
	before, limit, err := in.page()
	if err != nil {
		return nil, err
	}
	found, next, err := s.Gate.ListArtifacts(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), before, limit)
	if err != nil {
		return nil, err
	}
	out := listed(found)
	if next != 0 {
		out.Body.Next = strconv.FormatInt(next, 10)
	}
	return out, nil
}

func (s *Server) getArtifact(ctx context.Context, who account.Actor, in *ArtifactPath) (*answer[gatekeeper.ArtifactDetail], error) {
	d, err := s.Gate.ArtifactDetail(ctx, who, in.repository(), in.Digest)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.ArtifactDetail]{d}, nil
}

// artifactContent sends the content as something to keep and never to show: what a stage made may
// be a page with scripts. It streams; a reader that goes away ends it.
func (s *Server) artifactContent(ctx context.Context, who account.Actor, in *ArtifactPath) (*huma.StreamResponse, error) {
	b, content, err := s.Gate.ArtifactContent(ctx, who, in.repository(), in.Digest)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { _ = content.Close() }() // it was only read
		_, w := humamux.Unwrap(hc)
		head := w.Header()
		head.Set("Content-Type", "application/octet-stream")
		head.Set("Content-Disposition", attachment(b.FileName()))
		head.Set("Content-Length", strconv.FormatInt(b.Size, 10))
		head.Set("Gate-Executable", strconv.FormatBool(b.Executable))
		head.Set("Etag", `"`+b.Digest+`"`)
		w.WriteHeader(http.StatusOK)
		if _, err := io.Copy(w, content); err != nil && ctx.Err() == nil {
			s.Log.Warn("an artifact was cut", "digest", b.Digest, "err", err)
		}
	}}, nil
}

// attachment is a Content-Disposition with a file name (RFC 6266). Names that it cannot carry are
// left out.
func attachment(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\"`, r) {
			return '_'
		}
		return r
	}, name)
	if text := mime.FormatMediaType("attachment", map[string]string{"filename": safe}); text != "" {
		return text
	}
	return "attachment"
}

// textOut is an answer of text.
type textOut struct {
	ContentType string `header:"Content-Type"`
	Cut         string `header:"Gate-Cut" doc:"true when there is more before what is sent."`
	Body        []byte
}

func (s *Server) artifactStatement(ctx context.Context, who account.Actor, in *ArtifactPath) (*textOut, error) {
	b, err := s.Gate.ArtifactNamed(ctx, who, in.repository(), in.Digest)
	if err != nil {
		return nil, err
	}
	if b.Statement() == "" {
		return nil, fault.New(fault.NotFound, "api.statement", fmt.Sprintf("%s has no statement", b.Digest), "")
	}
	return &textOut{ContentType: statementType, Body: []byte(b.Statement())}, nil
}

// envelopeType is that of a signed statement (DSSE 1.0.2, envelope.md).
const envelopeType = "application/vnd.dsse.envelope.v1+json"

func (s *Server) artifactEnvelope(ctx context.Context, who account.Actor, in *ArtifactPath) (*textOut, error) {
	b, err := s.Gate.ArtifactNamed(ctx, who, in.repository(), in.Digest)
	if err != nil {
		return nil, err
	}
	if b.Envelope() == "" {
		return nil, fault.New(fault.NotFound, "api.envelope", fmt.Sprintf("%s was built before this server signed", b.Digest), "its statement is there, unsigned")
	}
	return &textOut{ContentType: envelopeType, Body: []byte(b.Envelope() + "\n")}, nil
}

// SigningKey is a public key that statements are signed with.
type SigningKey struct {
	ID    string `json:"id" doc:"The SHA-256 of the key in DER, in hexadecimal: the keyid of envelopes."`
	Signs bool   `json:"signs" doc:"The server signs with it now; with the others it did before."`
	PEM   string `json:"pem"`
}

func signingKey(k attest.PublicKey) SigningKey {
	return SigningKey{ID: k.ID, Signs: k.Signs, PEM: string(k.PEM())}
}

func (s *Server) signingKeys(context.Context, account.Actor, *struct{}) (*answer[list[SigningKey]], error) {
	keys, err := s.Gate.SigningKeys()
	if err != nil {
		return nil, err
	}
	all := make([]SigningKey, 0, len(keys))
	for _, k := range keys {
		all = append(all, signingKey(k))
	}
	return listed(all), nil
}

func (s *Server) rotateSigningKey(ctx context.Context, who account.Actor, _ *struct{}) (*answer[SigningKey], error) {
	k, err := s.Gate.RotateSigningKey(ctx, who)
	if err != nil {
		return nil, err
	}
	return &answer[SigningKey]{signingKey(k)}, nil
}

func (s *Server) revokeArtifact(ctx context.Context, who account.Actor, in *struct {
	ArtifactPath
	body[Reason]
}) (*answer[gatekeeper.Revoked], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	done, err := s.Gate.Revoke(ctx, who, in.repository(), in.Digest, in.Body.Message)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Revoked]{done}, nil
}

func (s *Server) restoreArtifact(ctx context.Context, who account.Actor, in *struct {
	ArtifactPath
	body[Reason]
}) (*answer[gatekeeper.Revoked], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	done, err := s.Gate.Restore(ctx, who, in.repository(), in.Digest, in.Body.Message)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Revoked]{done}, nil
}

func (s *Server) listAssemblies(ctx context.Context, who account.Actor, in *struct {
	BranchPath
	All bool `query:"all" doc:"Also those that are gone."`
}) (*answer[list[deliver.Assembly]], error) {
	repository, branch := in.names()
	found, err := s.Gate.Assemblies(ctx, who, repository, branch, in.All)
	if err != nil {
		return nil, err
	}
	return listed(found), nil
}

func (s *Server) assemblyLog(ctx context.Context, who account.Actor, in *AssemblyPath) (*textOut, error) {
	text, cut, err := s.Gate.AssemblyLog(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.ID)
	if err != nil {
		return nil, err
	}
	return &textOut{ContentType: "text/plain; charset=utf-8", Cut: strconv.FormatBool(cut), Body: text}, nil
}

func (s *Server) stopAssembly(ctx context.Context, who account.Actor, in *struct {
	AssemblyPath
	Body *Reason `required:"false"`
}) (*answer[deliver.Assembly], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	reason := ""
	if in.Body != nil {
		reason = in.Body.Message
	}
	a, err := s.Gate.StopAssembly(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.ID, reason)
	if err != nil {
		return nil, err
	}
	return &answer[deliver.Assembly]{a}, nil
}

func (s *Server) listSecrets(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[list[secret.Info]], error) {
	all, err := s.Gate.ListSecrets(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"))
	if err != nil {
		return nil, err
	}
	return listed(all), nil
}

// SecretPath names a secret.
type SecretPath struct {
	RepositoryPath
	Name string `path:"name" maxLength:"100"`
}

func (s *Server) setSecret(ctx context.Context, who account.Actor, in *struct {
	SecretPath
	body[NewSecret]
}) (*answer[secret.Info], error) {
	value, err := decoded(in.Body.Value, in.Body.Base64)
	if err != nil {
		return nil, err
	}
	info, err := s.Gate.SetSecret(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.Name, value)
	if err != nil {
		return nil, err
	}
	return &answer[secret.Info]{info}, nil
}

func (s *Server) removeSecret(ctx context.Context, who account.Actor, in *SecretPath) (*nothing, error) {
	return nil, s.Gate.RemoveSecret(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.Name)
}

// decoded is a value as it was before it was sent. The error has nothing of it.
func decoded(text string, encoded bool) ([]byte, error) {
	if !encoded {
		return []byte(text), nil
	}
	value, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "api.secret", "the value is not base64", "send it as text, or encode it")
	}
	return value, nil
}
