// web is a server for test workloads. Settings, all by environment:
//
//	PORT         default 8080
//	START_DELAY  how long /ready says 503 after the start (Go duration, default 0)
//	STOP_DELAY   how long it goes on serving after SIGTERM (default 0); /ready says 503 then
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func duration(name string) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	return d
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	startDelay, stopDelay := duration("START_DELAY"), duration("STOP_DELAY")
	host, _ := os.Hostname()
	var ready atomic.Bool

	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, host) })
	time.AfterFunc(startDelay, func() { ready.Store(true) })

	server := &http.Server{Addr: ":" + port}
	stopped := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		<-signals
		ready.Store(false)
		log.Printf("told to stop; serving for another %s", stopDelay)
		time.Sleep(stopDelay)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		close(stopped)
	}()
	log.Printf("serving on :%s", port)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-stopped
}
