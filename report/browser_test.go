package report

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// screens are the widths of screens in pixels at which a page is looked at: a small phone, a phone, a tablet, a desktop.
var screens = []int{320, 390, 768, 1280}

// measure is a page that shows the page under test at each width, and then writes down what it finds: "WIDTH OVERFLOW SMALLEST COLOUR",
// the pixels by which the page is wider than its screen, the size of its smallest text, and the colour behind it. It opens all that can be
// opened first, and points at every chart.
const measure = `<!DOCTYPE html><body style="margin:0"><script>
const found = [], frames = [];
for (const width of [WIDTHS]) {
  const f = document.createElement("iframe");
  f.width = width; f.height = 900; f.src = "/page";
  frames.push(new Promise(done => f.onload = () => {
    const w = f.contentWindow, d = f.contentDocument;
    for (const e of d.querySelectorAll("details")) { e.removeAttribute("name"); e.open = true; }
    for (const p of d.querySelectorAll(".plot")) {
      const b = p.querySelector("svg").getBoundingClientRect();
      p.dispatchEvent(new w.PointerEvent("pointermove", {clientX: b.left + b.width / 2, clientY: b.top + b.height / 2}));
    }
    const read = d.querySelectorAll(".reading").length, plots = d.querySelectorAll(".plot").length;
    const root = d.documentElement;
    let smallest = 100;
    for (const e of d.querySelectorAll("body *")) if (e.textContent.trim() && !e.children.length && e.tagName != "SCRIPT")
      smallest = Math.min(smallest, parseFloat(w.getComputedStyle(e).fontSize));
    found.push([width, root.scrollWidth - width, smallest, w.getComputedStyle(root).backgroundColor.replaceAll(" ", ""), read + "/" + plots].join(" "));
    done();
  }));
  document.body.append(f);
}
Promise.all(frames).then(() => document.title = "found: " + found.join("; ") + ".");
</script>`

// browser finds Chromium, or tells why the test skips.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no chromium on this machine (Debian's package is chromium)")
	return ""
}

// browse runs the browser and returns what it prints and says.
func browse(t *testing.T, path string, args ...string) (out, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	args = append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
		"--user-data-dir=" + t.TempDir(), "--enable-logging=stderr", "--virtual-time-budget=5000"}, args...)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Skipf("the browser does not run here: %v: %.300s", err, stderr.String())
	}
	return stdout.String(), stderr.String()
}

// TestPageFitsScreensInLightAndDark shows a real page in Chromium: nothing may stick out at any width, no text be too small to read, the
// console stay silent, and the two schemes differ. The pictures lie in the folder that DMS_SCREENSHOTS names, where it is set.
func TestPageFitsScreensInLightAndDark(t *testing.T) {
	chromium := browser(t)
	train := writeFiles(t, map[string]string{
		"config.json": `{"command": "train", "model": "small.onnx", "train": {"steps": 20, "normalize": "` + strings.Repeat("0.123456789,", 60) + `"}}`,
		"metrics.jsonl": `{"step":10,"steps":20,"loss":0.5,"accuracy":0.8,"rate":0.01}` + "\n" +
			`{"step":20,"steps":20,"loss":0.4,"accuracy":0.9,"rate":0.001}` + "\n",
		"result.json": `{"correct":97,"total":100,"top1":0.97,"top5":1,"loss":0.12}`,
	})
	latency := writeSearch(t, true)
	timed(t, latency, "300000")
	pages := map[string]string{"search": writePage(t, writeSearch(t, true)), "latency": writePage(t, latency), "train": writePage(t, train)}
	folder := os.Getenv("DMS_SCREENSHOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	backgrounds := map[string]string{"light": "rgb(253,253,252)", "dark": "rgb(20,23,26)"}
	for name, page := range pages {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if r.URL.Path == "/page" {
				fmt.Fprint(w, page)
				return
			}
			fmt.Fprint(w, strings.Replace(measure, "WIDTHS", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(screens)), ","), "[]"), 1))
		}))
		for scheme, background := range backgrounds {
			setting := "--blink-settings=preferredColorScheme=1"
			if scheme == "dark" {
				setting = "--blink-settings=preferredColorScheme=0"
			}
			dom, said := browse(t, chromium, setting, "--dump-dom", server.URL)
			if strings.Contains(said, "CONSOLE") {
				t.Errorf("%s, %s: the console says %s", name, scheme, said)
			}
			m := regexp.MustCompile(`<title>found: (.*)\.</title>`).FindStringSubmatch(dom)
			if m == nil {
				t.Fatalf("%s, %s: nothing was measured: %.500s\n%.500s", name, scheme, dom, said)
			}
			found := strings.Split(m[1], "; ")
			if len(found) != len(screens) {
				t.Errorf("%s, %s: measured %q", name, scheme, found)
			}
			for _, line := range found {
				var width, overflow, readings, plots int
				var smallest float64
				var colour string
				if _, err := fmt.Sscanf(line, "%d %d %f %s %d/%d", &width, &overflow, &smallest, &colour, &readings, &plots); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				if overflow > 0 {
					t.Errorf("%s, %s: at %d pixels the page is %d too wide", name, scheme, width, overflow)
				}
				if smallest < 12 {
					t.Errorf("%s, %s: at %d pixels some text has a size of %g", name, scheme, width, smallest)
				}
				if colour != background {
					t.Errorf("%s, %s: the page is %s, want %s", name, scheme, colour, background)
				}
				if readings != plots || plots == 0 {
					t.Errorf("%s, %s: pointing at %d charts shows %d values", name, scheme, plots, readings)
				}
			}
			shot := filepath.Join(folder, name+"-"+scheme+".png")
			browse(t, chromium, setting, "--window-size=1100,1400", "--screenshot="+shot, server.URL+"/page")
			if n := colours(t, shot); n < 20 {
				t.Errorf("%s has %d colours", shot, n)
			}
		}
		server.Close()
	}
}

// colours counts the colours of a picture.
func colours(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[4]uint32]bool{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, a := img.At(x, y).RGBA()
			seen[[4]uint32{r, g, b, a}] = true
		}
	}
	if img.Bounds().Dx() != 1100 {
		t.Errorf("%s is %v", path, img.Bounds())
	}
	return len(seen)
}
