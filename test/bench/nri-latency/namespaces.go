package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// More pods than this share namespaces.
const mostNamespaces = 2000

// namespaces are network namespaces, each pinned by a file as CNI does it; whoever owns the folder unmounts them.
type namespaces struct {
	paths []string
}

// makeNamespaces makes new ones, with the kernel's own sysctls, in a thread that ends with it.
func makeNamespaces(folder string, count int) namespaces {
	made := make(chan namespaces)
	go func() {
		// Never unlocked: the thread is in the last namespace.
		runtime.LockOSThread()
		n := namespaces{}
		for i := range min(count, mostNamespaces) {
			path := filepath.Join(folder, fmt.Sprintf("%d-%d", os.Getpid(), i))
			if err := makeNamespace(path); err != nil {
				log.Fatal(err)
			}
			n.paths = append(n.paths, path)
		}
		made <- n
	}()
	return <-made
}

func makeNamespace(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	return syscall.Mount("/proc/thread-self/ns/net", path, "", syscall.MS_BIND, "")
}

func (n namespaces) path(i int) string { return n.paths[i%len(n.paths)] }
