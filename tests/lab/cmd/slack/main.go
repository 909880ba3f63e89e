// slack takes what would go to a Slack webhook and appends it to a file, a JSON
// line {"time": …, "body": …} for each message. It answers "ok", as Slack does.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "address to listen on")
	file := flag.String("file", "slack.jsonl", "file that messages are appended to")
	flag.Parse()

	out, err := os.OpenFile(*file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	var one sync.Mutex
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				http.Error(w, "only POST", http.StatusMethodNotAllowed)
				return
			}
			text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			// a body that is JSON is kept as such, anything else as a string
			var body any = json.RawMessage(text)
			if !json.Valid(text) {
				body = string(text)
			}
			line, err := json.Marshal(map[string]any{"time": time.Now().UTC().Format(time.RFC3339Nano), "body": body})
			if err == nil {
				one.Lock()
				_, err = out.Write(append(line, '\n'))
				one.Unlock()
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_, _ = io.WriteString(w, "ok")
		})}
	log.Fatal(server.ListenAndServe())
}
