// packages serves an apt repository the way upstream's does: each file is answered
// with a 302 to where it really lies. The file named by -mode says, at every
// request, how it behaves:
//
//	ok      as it should
//	down    503 to everything
//	404     404 to everything
//	badkey  the Release is signed by another key than Release.key holds
package main

import (
	"flag"
	"log"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

const real = "/files"

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	root := flag.String("root", ".", "folder that holds core:/stable:/…")
	modeFile := flag.String("mode", "", "file that holds the mode; none means ok")
	flag.Parse()

	files := http.StripPrefix(real, http.FileServer(http.Dir(*root)))
	handler := func(w http.ResponseWriter, r *http.Request) {
		mode, _ := os.ReadFile(*modeFile)
		switch strings.TrimSpace(string(mode)) {
		case "down":
			http.Error(w, "out of service", http.StatusServiceUnavailable)
			return
		case "404":
			http.NotFound(w, r)
			return
		case "badkey":
			// InRelease and Release.gpg by the wrong key lie beside the good ones
			if name := path.Base(r.URL.Path); strings.HasPrefix(r.URL.Path, real) &&
				(name == "InRelease" || name == "Release.gpg") {
				r.URL.Path = path.Join(path.Dir(r.URL.Path), "badkey", name)
			}
		}
		if strings.HasPrefix(r.URL.Path, real+"/") {
			files.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, real+path.Clean("/"+r.URL.Path), http.StatusFound)
	}
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log.Printf("%s %s %s", r.RemoteAddr, r.Method, r.URL.Path)
			handler(w, r)
		})}
	log.Fatal(server.ListenAndServe())
}
