// Plays the kubelet to a container runtime: starts pods of one container by CRI, tells how long each step took in a line of
// JSON, and removes them when its standard input ends.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type result struct {
	// From the first pod's begin to the last one's end.
	Seconds float64   `json:"seconds"`
	Pods    []started `json:"pods"`
}

func main() {
	socket := flag.String("socket", "", "of the runtime")
	pods := flag.Int("pods", 1, "how many are started")
	atOnce := flag.Int("at-once", 1, "how many of them at the same time")
	t := template{}
	flag.StringVar(&t.image, "image", "", "of the container")
	flag.StringVar(&t.annotation, "annotation", "", "the plan of the pods; empty: none")
	flag.StringVar(&t.cgroup, "cgroup", "", "above those of the pods")
	flag.StringVar(&t.logs, "logs", "", "folder for the containers' output")
	flag.Parse()
	connection, err := grpc.NewClient("unix://"+*socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	runtime := cri.NewRuntimeServiceClient(connection)
	if err := run(runtime, t, *pods, *atOnce); err != nil {
		log.Fatal(err)
	}
}

func run(runtime cri.RuntimeServiceClient, t template, pods, atOnce int) error {
	ctx := context.Background()
	r := result{Pods: make([]started, pods)}
	begin := time.Now()
	failed := each(pods, atOnce, func(i int) (err error) {
		r.Pods[i], err = t.start(ctx, runtime)
		return err
	})
	r.Seconds = time.Since(begin).Seconds()
	if failed == nil {
		failed = tell(ctx, runtime, r)
	}
	removed := each(pods, atOnce, func(i int) error { return remove(ctx, runtime, r.Pods[i].sandbox) })
	if failed != nil {
		return failed
	}
	return removed
}

// tell returns when somebody has looked at the pods.
func tell(ctx context.Context, runtime cri.RuntimeServiceClient, r result) error {
	for i := range r.Pods {
		if err := r.Pods[i].findProcess(ctx, runtime); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// each returns the last failure; the others are done nevertheless.
func each(count, atOnce int, do func(i int) error) (failure error) {
	turns := make(chan int)
	var all sync.WaitGroup
	var lock sync.Mutex
	for range atOnce {
		all.Go(func() {
			for i := range turns {
				if err := do(i); err != nil {
					lock.Lock()
					failure = err
					lock.Unlock()
				}
			}
		})
	}
	for i := range count {
		turns <- i
	}
	close(turns)
	all.Wait()
	return failure
}
