// Plays the container runtime to one plugin, with containerd's own implementation of that side, and measures how long the
// plugin takes; or, with -plugin, is a plugin in Go that answers with the same adjustment. Prints lines of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
)

func main() {
	socket := flag.String("socket", "", "where plugins connect")
	plugin := flag.Bool("plugin", false, "be the plugin")
	l := load{}
	flag.StringVar(&l.annotation, "annotation", "", "the plan of the pods")
	folder := flag.String("namespaces", "", "the folder of the pods' network namespaces")
	flag.UintVar(&l.pid, "pid", 0, "the first process of the containers")
	flag.IntVar(&l.pods, "pods", 1, "planned pods on the node")
	flag.IntVar(&l.perSecond, "per-second", 100, "pods per second that come and go")
	flag.IntVar(&l.seconds, "seconds", 10, "duration")
	flag.Parse()
	if *plugin {
		servePlugin(*socket)
		return
	}
	side := start(*socket)
	l.namespaces = namespacesIn(*folder)
	run(side, l)
}

// run tells each phase, and goes on to the next at a line of standard input.
func run(side *adaptation.Adaptation, l load) {
	wait := make([]byte, 1)
	next := func(phase any) {
		if err := json.NewEncoder(os.Stdout).Encode(phase); err != nil {
			log.Fatal(err)
		}
		if _, err := os.Stdin.Read(wait); err != nil && err != io.EOF {
			log.Fatal(err)
		}
	}
	next(map[string]string{"phase": "connected"})
	for i := range l.pods {
		l.startPod(side, i)
	}
	next(map[string]string{"phase": "filled"})
	next(l.replacePods(side))
}

// start returns when a plugin has registered and been told what there is: nothing.
func start(socket string) *adaptation.Adaptation {
	synchronized := make(chan struct{}, 2)
	sync := func(ctx context.Context, to adaptation.SyncCB) error {
		_, err := to(ctx, nil, nil)
		synchronized <- struct{}{}
		return err
	}
	update := func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil }
	side, err := adaptation.New("containerd", "v2.3.4", sync, update,
		adaptation.WithSocketPath(socket), adaptation.WithPluginPath("/nonexistent"))
	if err != nil {
		log.Fatal(err)
	}
	if err := side.Start(); err != nil {
		log.Fatal(err)
	}
	// The first is for plugins that the runtime launches itself, the second for the one that connects.
	<-synchronized
	<-synchronized
	time.Sleep(time.Second)
	return side
}
