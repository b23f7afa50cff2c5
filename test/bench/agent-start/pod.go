package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// template is what all pods have in common.
type template struct {
	image      string
	annotation string
	cgroup     string
	logs       string
}

type started struct {
	SandboxMs float64 `json:"sandboxMs"`
	CreateMs  float64 `json:"createMs"`
	StartMs   float64 `json:"startMs"`
	// Of the container's first process.
	Pid int `json:"pid"`

	sandbox   string
	container string
}

const containerName = "gateway"

// start makes a pod as a kubelet makes one that asks for nothing: best effort, the cluster's network.
func (t template) start(ctx context.Context, runtime cri.RuntimeServiceClient) (s started, err error) {
	pod, err := t.pod()
	if err != nil {
		return s, err
	}
	err = taking(&s.SandboxMs, func() error {
		reply, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: pod})
		s.sandbox = reply.GetPodSandboxId()
		return err
	})
	if err != nil {
		return s, err
	}
	err = taking(&s.CreateMs, func() error {
		request := &cri.CreateContainerRequest{PodSandboxId: s.sandbox, Config: t.container(), SandboxConfig: pod}
		reply, err := runtime.CreateContainer(ctx, request)
		s.container = reply.GetContainerId()
		return err
	})
	if err != nil {
		return s, err
	}
	return s, taking(&s.StartMs, func() error {
		_, err := runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: s.container})
		return err
	})
}

func taking(ms *float64, call func() error) error {
	begin := time.Now()
	err := call()
	*ms = float64(time.Since(begin).Microseconds()) / 1000
	return err
}

func (s *started) findProcess(ctx context.Context, runtime cri.RuntimeServiceClient) error {
	reply, err := runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: s.container, Verbose: true})
	if err != nil {
		return err
	}
	info := struct{ Pid int }{}
	err = json.Unmarshal([]byte(reply.GetInfo()["info"]), &info)
	s.Pid = info.Pid
	return err
}

// remove also ends the containers; a pod that was never made is removed.
func remove(ctx context.Context, runtime cri.RuntimeServiceClient, sandbox string) error {
	if sandbox == "" {
		return nil
	}
	if _, err := runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
		return err
	}
	_, err := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox})
	return err
}

func (t template) pod() (*cri.PodSandboxConfig, error) {
	uid := rand.Text()
	name := fmt.Sprintf("gateway-%s", uid[:8])
	logs := filepath.Join(t.logs, uid)
	// The kubelet makes the folder of each container.
	if err := os.MkdirAll(filepath.Join(logs, containerName), 0o755); err != nil {
		return nil, err
	}
	annotations := map[string]string{"kubernetes.io/config.source": "api"}
	if t.annotation != "" {
		annotations["connectionbudget.io/plan"] = t.annotation
	}
	return &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Uid: uid, Namespace: "messaging"},
		Hostname: name,
		Labels: map[string]string{
			"app":                         "gateway",
			"io.kubernetes.pod.name":      name,
			"io.kubernetes.pod.namespace": "messaging",
			"io.kubernetes.pod.uid":       uid,
		},
		Annotations:  annotations,
		LogDirectory: logs,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    t.cgroup,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: namespaces()},
		},
	}, nil
}

func (t template) container() *cri.ContainerConfig {
	return &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: containerName},
		Image:    &cri.ImageSpec{Image: t.image},
		Args:     []string{"listen", "1883", "1"},
		Labels:   map[string]string{"io.kubernetes.container.name": containerName},
		LogPath:  filepath.Join(containerName, "0.log"),
		Linux: &cri.LinuxContainerConfig{
			Resources:       &cri.LinuxContainerResources{CpuShares: 2, OomScoreAdj: 1000},
			SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: namespaces()},
		},
	}
}

func namespaces() *cri.NamespaceOption {
	return &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}
}
