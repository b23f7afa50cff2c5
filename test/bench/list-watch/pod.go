package main

import (
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// How many pods, and how they are told apart.
type crowd struct{ pods, namespaces, apps int }

const podsPerNode = 100

func namespaceName(index int) string { return fmt.Sprintf("bench-%d", index) }

// Pod 7 of 3 namespaces and 6 apps: namespace 1, the third there, so of the first of its two apps.
func (crowd crowd) pod(index int) *v1.Pod {
	namespace := index % crowd.namespaces
	app := fmt.Sprintf("app-%d", index/crowd.namespaces%max(1, crowd.apps/crowd.namespaces))
	name := fmt.Sprintf("%s-6d8f7c9b5d-%d", app, index)
	controller := true
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: namespaceName(namespace),
			Labels: map[string]string{
				"app": app, "pod-template-hash": "6d8f7c9b5d", "app.kubernetes.io/part-of": "shop",
				"app.kubernetes.io/managed-by": "Helm", "team": fmt.Sprintf("team-%d", namespace%20),
			},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
				"checksum/config": strings.Repeat("0123456789abcdef", 4),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: app + "-6d8f7c9b5d",
				UID: "0a4e8f4e-6d0c-4f9c-8f0b-2f6f1e6a3c11", Controller: &controller, BlockOwnerDeletion: &controller,
			}},
		},
		Spec: specOf(app, index),
	}
}

func specOf(app string, index int) v1.PodSpec {
	return v1.PodSpec{
		NodeName:      fmt.Sprintf("node-%d", index/podsPerNode),
		Containers:    []v1.Container{programOf(app), proxyOf()},
		Volumes:       volumes(),
		RestartPolicy: v1.RestartPolicyAlways,
	}
}

func programOf(app string) v1.Container {
	environment := []v1.EnvVar{}
	for index := range 12 {
		value := fmt.Sprintf("a setting of %s that is as long as settings are, number %d", app, index)
		environment = append(environment, v1.EnvVar{Name: fmt.Sprintf("SETTING_%d", index), Value: value})
	}
	probe := &v1.Probe{
		ProbeHandler:  v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("http")}},
		PeriodSeconds: 10,
	}
	return v1.Container{
		Name: "program", Image: "registry.invalid/shop/" + app + ":v1.42.0", Env: environment,
		Ports: []v1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090}},
		Resources: v1.ResourceRequirements{
			Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("100m"), v1.ResourceMemory: resource.MustParse("128Mi")},
			Limits:   v1.ResourceList{v1.ResourceMemory: resource.MustParse("256Mi")},
		},
		LivenessProbe: probe, ReadinessProbe: probe,
		VolumeMounts: mounts(),
	}
}

func proxyOf() v1.Container {
	return v1.Container{
		Name: "proxy", Image: "registry.invalid/mesh/proxy:v1.27.3", Args: []string{"proxy", "sidecar", "--log-level=warning"},
		Ports:        []v1.ContainerPort{{Name: "inbound", ContainerPort: 15006}},
		VolumeMounts: mounts(),
	}
}

var volumeNames = []string{"config", "certificates", "scratch"}

func volumes() []v1.Volume {
	volumes := []v1.Volume{}
	for _, name := range volumeNames {
		volumes = append(volumes, v1.Volume{Name: name, VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}})
	}
	return volumes
}

func mounts() []v1.VolumeMount {
	mounts := []v1.VolumeMount{}
	for _, name := range volumeNames {
		mounts = append(mounts, v1.VolumeMount{Name: name, MountPath: "/var/run/" + name, ReadOnly: name != "scratch"})
	}
	return mounts
}

// What a kubelet writes once everything runs.
func runningStatus(pod *v1.Pod, index int) v1.PodStatus {
	now := metav1.NewTime(time.Now())
	status := v1.PodStatus{Phase: v1.PodRunning, HostIP: "10.0.0.1", StartTime: &now}
	status.PodIP = fmt.Sprintf("10.%d.%d.%d", 1+index>>16, index>>8&255, index&255)
	status.PodIPs = []v1.PodIP{{IP: status.PodIP}}
	for _, kind := range []v1.PodConditionType{v1.PodReadyToStartContainers, v1.PodInitialized, v1.PodReady, v1.ContainersReady, v1.PodScheduled} {
		status.Conditions = append(status.Conditions, v1.PodCondition{Type: kind, Status: v1.ConditionTrue, LastTransitionTime: now})
	}
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, v1.ContainerStatus{
			Name: container.Name, Image: container.Image, Ready: true,
			ImageID:     container.Image + "@sha256:" + strings.Repeat("0123456789abcdef", 4),
			ContainerID: fmt.Sprintf("containerd://%064d", index),
			State:       v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return status
}
