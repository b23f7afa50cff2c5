package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
)

// load is what happens on the node: pods are there, and at a rate one comes and the oldest goes.
type load struct {
	annotation string
	namespaces namespaces
	pid        uint
	pods       int
	perSecond  int
	seconds    int
}

type result struct {
	Phase    string `json:"phase"`
	Adjusted int    `json:"adjusted"`
	// By event.
	Times map[string]times `json:"times"`
}

type times struct {
	P50Us float64 `json:"p50Us"`
	P99Us float64 `json:"p99Us"`
	MaxUs float64 `json:"maxUs"`
}

type taken map[string][]time.Duration

func (t taken) measure(event string, call func() error) {
	start := time.Now()
	err := call()
	t[event] = append(t[event], time.Since(start))
	if err != nil {
		log.Fatalf("%s: %v", event, err)
	}
}

func (l load) replacePods(side *adaptation.Adaptation) result {
	ticks := time.NewTicker(time.Second / time.Duration(l.perSecond))
	defer ticks.Stop()
	all := taken{}
	adjusted := 0
	for i := range l.perSecond * l.seconds {
		<-ticks.C
		adjusted += l.create(side, l.pods+i, all)
		l.remove(side, i)
	}
	r := result{Phase: "loaded", Adjusted: adjusted, Times: map[string]times{}}
	for event, durations := range all {
		r.Times[event] = timesOf(durations)
	}
	return r
}

func timesOf(durations []time.Duration) times {
	slices.Sort(durations)
	at := func(share float64) float64 {
		return float64(durations[int(float64(len(durations)-1)*share)].Nanoseconds()) / 1000
	}
	return times{P50Us: at(0.5), P99Us: at(0.99), MaxUs: at(1)}
}

func (l load) startPod(side *adaptation.Adaptation, i int) { l.create(side, i, taken{}) }

// create makes a pod with one container, and returns how many limits the plugin changed.
func (l load) create(side *adaptation.Adaptation, i int, t taken) int {
	l.namespaces.make(i)
	ctx := context.Background()
	pod, container := l.pod(i), l.container(i)
	t.measure("RunPodSandbox", func() error {
		return side.RunPodSandbox(ctx, &api.RunPodSandboxRequest{Pod: pod})
	})
	adjusted := 0
	t.measure("CreateContainer", func() error {
		reply, err := side.CreateContainer(ctx, &api.CreateContainerRequest{Pod: pod, Container: container})
		adjusted = len(reply.GetAdjust().GetRlimits())
		return err
	})
	container.Pid = uint32(l.pid)
	t.measure("PostStartContainer", func() error {
		return side.PostStartContainer(ctx, &api.PostStartContainerRequest{Pod: pod, Container: container})
	})
	return adjusted
}

func (l load) remove(side *adaptation.Adaptation, i int) {
	ctx := context.Background()
	pod, container := l.pod(i), l.container(i)
	if _, err := side.StopContainer(ctx, &api.StopContainerRequest{Pod: pod, Container: container}); err != nil {
		log.Fatal(err)
	}
	if err := side.StopPodSandbox(ctx, &api.StopPodSandboxRequest{Pod: pod}); err != nil {
		log.Fatal(err)
	}
	if err := side.RemovePodSandbox(ctx, &api.RemovePodSandboxRequest{Pod: pod}); err != nil {
		log.Fatal(err)
	}
	l.namespaces.remove(i)
}

func (l load) pod(i int) *api.PodSandbox {
	pod := &api.PodSandbox{
		Id:          fmt.Sprintf("%064x", i),
		Uid:         fmt.Sprintf("9d0b1a52-63a1-4f0e-8a3c-%012x", i),
		Name:        fmt.Sprintf("gateway-%d", i),
		Namespace:   "messaging",
		Labels:      map[string]string{"app": "gateway", "pod-template-hash": "6d5f8c7b9"},
		Annotations: map[string]string{"connectionbudget.io/plan": l.annotation},
	}
	network := &api.LinuxNamespace{Type: "network", Path: l.namespaces.path(i)}
	pod.Linux = &api.LinuxPodSandbox{Namespaces: []*api.LinuxNamespace{network}}
	return pod
}

func (l load) container(i int) *api.Container {
	return &api.Container{
		Id:           fmt.Sprintf("c%063x", i),
		PodSandboxId: fmt.Sprintf("%064x", i),
		Name:         "gateway",
		Args:         []string{"/gateway", "--listen=:1883"},
		Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
	}
}
