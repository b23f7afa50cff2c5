package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/containerd/nri/pkg/api"
)

// The pods and containers that came and have not gone, as a runtime lists them to a plugin that registers.
type memory struct {
	lock       sync.Mutex
	pods       map[string]*api.PodSandbox
	containers map[string]*api.Container
}

func newMemory(state []*api.PodSandbox) *memory {
	m := &memory{pods: map[string]*api.PodSandbox{}, containers: map[string]*api.Container{}}
	for _, pod := range state {
		m.pods[pod.Id] = pod
	}
	return m
}

func (m *memory) list() ([]*api.PodSandbox, []*api.Container) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Collect(maps.Values(m.pods)), slices.Collect(maps.Values(m.containers))
}

// What a call that went well has changed.
func (m *memory) note(r *request) {
	m.lock.Lock()
	defer m.lock.Unlock()
	switch r.Method {
	case "RunPodSandbox":
		m.pods[r.pod.Id] = r.pod
	case "RemovePodSandbox":
		delete(m.pods, r.pod.Id)
	case "CreateContainer", "PostStartContainer":
		m.containers[r.container.Id] = r.container
	case "RemoveContainer":
		delete(m.containers, r.container.Id)
	}
}
