// backup takes a snapshot of the etcd on this node with etcdctl, verifies it with
// etcdutl, and only then gives it its name in /backup. With SAYS in its environment
// it takes none, and says that: a backup that claims what is not so.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

const pki = "/etc/kubernetes/pki/etcd/"

func run(name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func backup() error {
	path := "/backup/etcd-" + time.Now().UTC().Format("20060102-150405") + ".db"
	part := path + ".part"
	defer os.Remove(part)
	if err := run("/etcdctl", "--endpoints=https://127.0.0.1:2379", "--cacert="+pki+"ca.crt",
		"--cert="+pki+"server.crt", "--key="+pki+"server.key", "snapshot", "save", part); err != nil {
		return err
	}
	if err := run("/etcdutl", "snapshot", "status", part, "-w", "json"); err != nil {
		return err
	}
	info, err := os.Stat(part)
	if err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	fmt.Printf("Backup done: %s (%d bytes)\n", path, info.Size())
	return nil
}

func main() {
	if says, ok := os.LookupEnv("SAYS"); ok {
		fmt.Println(says)
		return
	}
	if err := backup(); err != nil {
		fmt.Fprintln(os.Stderr, "Backup failed:", err)
		os.Exit(1)
	}
}
