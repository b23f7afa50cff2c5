package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// namespaces are network namespaces with the kernel's own sysctls, each pinned by a file as CNI does it. They come and go
// with their pods: the kernel's first look at a sysctl in a new one takes 0.3 µs for each other that is there.
type namespaces struct {
	folder string
	wanted chan string
	made   chan error
}

// namespacesIn is for a folder that is a mount of its own: whoever made it unmounts what is left.
func namespacesIn(folder string) namespaces {
	n := namespaces{folder, make(chan string), make(chan error)}
	go n.serve()
	return n
}

func (n namespaces) serve() {
	// Never unlocked: the thread is in the last namespace.
	runtime.LockOSThread()
	if syscall.Gettid() == os.Getpid() {
		// The first thread's namespace is what others take for this program's.
		go n.serve()
		select {}
	}
	for path := range n.wanted {
		n.made <- makeNamespace(path)
	}
}

func (n namespaces) path(i int) string { return filepath.Join(n.folder, fmt.Sprint(i)) }

func (n namespaces) make(i int) {
	n.wanted <- n.path(i)
	if err := <-n.made; err != nil {
		log.Fatal(err)
	}
}

func (n namespaces) remove(i int) {
	if err := syscall.Unmount(n.path(i), syscall.MNT_DETACH); err != nil {
		log.Fatal(err)
	}
	if err := os.Remove(n.path(i)); err != nil {
		log.Fatal(err)
	}
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
