package main

import (
	"context"
	"log"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// goPlugin handles the events that the agent does, and answers from the annotation alone.
type goPlugin struct{}

func (goPlugin) RunPodSandbox(context.Context, *api.PodSandbox) error { return nil }

func (goPlugin) CreateContainer(_ context.Context, pod *api.PodSandbox, _ *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	adjustment := &api.ContainerAdjustment{}
	if pod.GetAnnotations()["connectionbudget.io/plan"] != "" {
		adjustment.AddRlimit("RLIMIT_NOFILE", 20000, 8039)
	}
	return adjustment, nil, nil
}

func (goPlugin) PostStartContainer(context.Context, *api.PodSandbox, *api.Container) error {
	return nil
}

func (goPlugin) StopContainer(context.Context, *api.PodSandbox, *api.Container) ([]*api.ContainerUpdate, error) {
	return nil, nil
}

func (goPlugin) StopPodSandbox(context.Context, *api.PodSandbox) error { return nil }

func (goPlugin) RemovePodSandbox(context.Context, *api.PodSandbox) error { return nil }

func servePlugin(socket string) {
	made, err := stub.New(goPlugin{}, stub.WithPluginName("go"), stub.WithPluginIdx("50"), stub.WithSocketPath(socket))
	if err != nil {
		log.Fatal(err)
	}
	if err := made.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
