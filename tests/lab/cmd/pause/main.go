// pause holds a pod's namespaces and does nothing else. With -v it says so and
// ends well: kubeadm's health check runs it like that.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Println("pause of the lab")
		return
	}
	// reap what a shared process namespace leaves to us
	ended := make(chan os.Signal, 8)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range ended {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
