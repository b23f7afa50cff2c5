package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
)

type adapted struct {
	*adaptation.Adaptation
	memory *memory
}

func openAdaptation(socket string, state []*api.PodSandbox) (runtime, error) {
	known := newMemory(state)
	var launched atomic.Bool
	synchronize := func(ctx context.Context, to adaptation.SyncCB) error {
		// The first one, from Start, is for plugins that the runtime launches itself.
		if !launched.Swap(true) {
			return nil
		}
		pods, containers := known.list()
		if _, err := to(ctx, pods, containers); err != nil {
			print(line{State: "synchronization failed", Error: err.Error()})
			return err
		}
		print(line{State: "synchronized"})
		return nil
	}
	update := func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil }
	side, err := adaptation.New("containerd", "v2.3.4", synchronize, update,
		adaptation.WithSocketPath(socket), adaptation.WithPluginPath("/nonexistent"))
	if err != nil {
		return nil, err
	}
	return adapted{side, known}, side.Start()
}

func (a adapted) call(ctx context.Context, r *request) (*api.ContainerAdjustment, error) {
	defer a.BlockPluginSync().Unblock()
	adjust, err := a.pass(ctx, r)
	if err == nil {
		a.memory.note(r)
	}
	return adjust, err
}

func (a adapted) pass(ctx context.Context, r *request) (*api.ContainerAdjustment, error) {
	switch r.Method {
	case "RunPodSandbox":
		return nil, a.RunPodSandbox(ctx, &api.RunPodSandboxRequest{Pod: r.pod})
	case "StopPodSandbox":
		return nil, a.StopPodSandbox(ctx, &api.StopPodSandboxRequest{Pod: r.pod})
	case "RemovePodSandbox":
		return nil, a.RemovePodSandbox(ctx, &api.RemovePodSandboxRequest{Pod: r.pod})
	case "CreateContainer":
		reply, err := a.CreateContainer(ctx, &api.CreateContainerRequest{Pod: r.pod, Container: r.container})
		return reply.GetAdjust(), err
	case "PostCreateContainer":
		return nil, a.PostCreateContainer(ctx, &api.PostCreateContainerRequest{Pod: r.pod, Container: r.container})
	case "StartContainer":
		return nil, a.StartContainer(ctx, &api.StartContainerRequest{Pod: r.pod, Container: r.container})
	case "PostStartContainer":
		return nil, a.PostStartContainer(ctx, &api.PostStartContainerRequest{Pod: r.pod, Container: r.container})
	case "StopContainer":
		_, err := a.StopContainer(ctx, &api.StopContainerRequest{Pod: r.pod, Container: r.container})
		return nil, err
	case "RemoveContainer":
		return nil, a.RemoveContainer(ctx, &api.RemoveContainerRequest{Pod: r.pod, Container: r.container})
	}
	return nil, fmt.Errorf("no such method: %s", r.Method)
}
