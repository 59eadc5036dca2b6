package web

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	pixels "image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// readmePictures are the pages that the README shows, and how far down.
var readmePictures = map[string]int{"change": 1380, "queue": 1365, "environments": 1120}

// TestPicturesOfTheReadme draws the pictures of the README when GATE_PICTURES names their folder.
func TestPicturesOfTheReadme(t *testing.T) {
	dir := os.Getenv("GATE_PICTURES")
	if dir == "" {
		t.Skip("set GATE_PICTURES to a folder to draw the pictures of the README")
	}
	w := showcase(t)
	portray(t, w, dir, everyPage(w))
	w = shopShowcase(t)
	portray(t, w, dir, w.shopPages())
}

func portray(t *testing.T, w *world, dir string, pages []pageOf) {
	browser := chrome(t)
	for _, p := range pages {
		high, is := readmePictures[p.name]
		if !is {
			continue
		}
		for _, look := range shotLooks[:2] {
			tab := open(t, browser, w, p.who, p.path, look.width, look.theme)
			wear(t, tab, look.width, &emulation.MediaFeature{Name: "prefers-color-scheme", Value: look.theme})
			shot, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
			w.must(err)
			whole, err := png.Decode(bytes.NewReader(shot))
			w.must(err)
			var small bytes.Buffer
			cut := image.Rect(0, 0, int(look.width), min(high, whole.Bounds().Dy()))
			w.must((&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, fewColours(whole, cut)))
			w.must(os.WriteFile(filepath.Join(dir, p.name+"-"+look.name+".png"), small.Bytes(), 0o644))
		}
	}
}

// fewColours is a part of an image in its 256 most frequent colours, which is half of the bytes: pages
// have few colours, and the others are the edges of letters.
func fewColours(from image.Image, part image.Rectangle) *image.Paletted {
	seen := map[color.RGBA]int{}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			seen[color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)]++
		}
	}
	often := slices.SortedFunc(maps.Keys(seen), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(seen[b], seen[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var few color.Palette
	for _, c := range often[:min(len(often), 256)] {
		few = append(few, c)
	}
	to := image.NewPaletted(part, few)
	pixels.Draw(to, part, from, part.Min, pixels.Src)
	return to
}
