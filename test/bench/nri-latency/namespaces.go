package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"syscall"
)

// More pods than this share namespaces.
const mostNamespaces = 2000

// namespaces are network namespaces that live as long as this process.
type namespaces struct {
	files []*os.File
}

// makeNamespaces makes new ones, with the kernel's own sysctls, in a thread that ends with it.
func makeNamespaces(count int) namespaces {
	made := make(chan namespaces)
	go func() {
		// Never unlocked: the thread is in the last namespace.
		runtime.LockOSThread()
		n := namespaces{}
		for range min(count, mostNamespaces) {
			if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
				log.Fatal(err)
			}
			file, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				log.Fatal(err)
			}
			n.files = append(n.files, file)
		}
		made <- n
	}()
	return <-made
}

func (n namespaces) path(i int) string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.files[i%len(n.files)].Fd())
}
