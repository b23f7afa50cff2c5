// Measures how long one plugin takes for CreateContainer, with containerd's own implementation of the runtime's side; or,
// with -plugin, is a plugin in Go that answers with the same adjustment. Prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"slices"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

type result struct {
	Adjusted int     `json:"adjusted"`
	P50Us    float64 `json:"p50Us"`
	P99Us    float64 `json:"p99Us"`
}

func main() {
	socket := flag.String("socket", "", "where plugins connect")
	plugin := flag.Bool("plugin", false, "be the plugin")
	annotation := flag.String("annotation", "", "the plan of the pod")
	perSecond := flag.Int("per-second", 100, "calls per second")
	seconds := flag.Int("seconds", 10, "duration")
	flag.Parse()
	if *plugin {
		servePlugin(*socket)
		return
	}
	print(measure(*socket, *annotation, *perSecond, *seconds))
}

func measure(socket, annotation string, perSecond, seconds int) result {
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
	pod := &api.PodSandbox{Id: "sandbox", Uid: "uid", Name: "gateway-0", Namespace: "messaging",
		Annotations: map[string]string{"connectionbudget.io/plan": annotation}}
	if err := side.RunPodSandbox(context.Background(), &api.RunPodSandboxRequest{Pod: pod}); err != nil {
		log.Fatal(err)
	}
	return createContainers(side, pod, perSecond, perSecond*seconds)
}

func createContainers(side *adaptation.Adaptation, pod *api.PodSandbox, perSecond, count int) result {
	ticks := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticks.Stop()
	times := make([]time.Duration, 0, count)
	adjusted := 0
	for range count {
		<-ticks.C
		container := &api.Container{Id: "container", PodSandboxId: "sandbox", Name: "gateway"}
		start := time.Now()
		reply, err := side.CreateContainer(context.Background(), &api.CreateContainerRequest{Pod: pod, Container: container})
		times = append(times, time.Since(start))
		if err != nil {
			log.Fatal(err)
		}
		adjusted += len(reply.GetAdjust().GetRlimits())
	}
	slices.Sort(times)
	at := func(share float64) float64 { return float64(times[int(float64(count)*share)].Nanoseconds()) / 1000 }
	return result{Adjusted: adjusted, P50Us: at(0.5), P99Us: at(0.99)}
}

type goPlugin struct{}

func (goPlugin) RunPodSandbox(context.Context, *api.PodSandbox) error { return nil }

func (goPlugin) CreateContainer(_ context.Context, pod *api.PodSandbox, _ *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	adjustment := &api.ContainerAdjustment{}
	if pod.GetAnnotations()["connectionbudget.io/plan"] != "" {
		adjustment.AddRlimit("RLIMIT_NOFILE", 20000, 8039)
	}
	return adjustment, nil, nil
}

func servePlugin(socket string) {
	made, err := stub.New(goPlugin{}, stub.WithPluginName("go"), stub.WithPluginIdx("50"), stub.WithSocketPath(socket))
	if err != nil {
		log.Fatal(err)
	}
	if err := made.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func print(r result) {
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		log.Fatal(err)
	}
}
