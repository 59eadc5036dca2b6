package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sync"
)

//go:embed assets
var assetFiles embed.FS

// assetTypes are the only kinds of asset that exist.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assetVersion names the assets of this binary, so that a browser may keep them for ever.
var assetVersion = sync.OnceValue(func() string {
	sum := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := assetFiles.ReadFile(name)
		_, _ = fmt.Fprintf(sum, "%s %d\n", name, len(text)) // a hash does not fail
		_, _ = sum.Write(text)
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("web: embedded assets: %v", err))
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
})

// assetURL is where the asset called name is served.
func assetURL(name string) string { return "/static/" + assetVersion() + "/" + name }

// joined are the assets that are made of the files of a folder, in the order of their names.
var joined = map[string]string{"gate.css": "style", "gate.js": "script"}

// readAssets are the assets by name.
var readAssets = sync.OnceValues(func() (map[string][]byte, error) {
	all := map[string][]byte{}
	plain, err := fs.Glob(assetFiles, "assets/*.*")
	if err != nil {
		return nil, err
	}
	for _, file := range plain {
		if all[path.Base(file)], err = assetFiles.ReadFile(file); err != nil {
			return nil, err
		}
	}
	for name, folder := range joined {
		parts, err := fs.Glob(assetFiles, "assets/"+folder+"/*")
		if err != nil {
			return nil, err
		}
		for _, file := range parts {
			text, err := assetFiles.ReadFile(file)
			if err != nil {
				return nil, err
			}
			all[name] = append(all[name], text...)
		}
	}
	return all, nil
})

// asset serves an embedded file. The version in the path is not checked: an old page asking
// for an old name after an upgrade is better served with the new file than with none.
func (w *Web) asset(c *call) error {
	name := c.variable("name")
	all, err := readAssets()
	if err != nil {
		return err
	}
	text, known := all[name]
	kind := assetTypes[path.Ext(name)]
	if !known || kind == "" {
		return notFound("web.asset", "there is no such file")
	}
	h := c.rw.Header()
	h.Set("Content-Type", kind)
	if c.variable("version") == assetVersion() {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	send(c.rw, text)
	return nil
}

// favicon answers the address that browsers try by themselves.
func (w *Web) favicon(c *call) error {
	http.Redirect(c.rw, c.r, assetURL("mark.svg"), http.StatusFound)
	return nil
}

// robots keeps crawlers off: every page is made on demand from git.
func (w *Web) robots(c *call) error {
	c.rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	send(c.rw, []byte("User-agent: *\nDisallow: /\n"))
	return nil
}
