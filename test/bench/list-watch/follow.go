package main

import (
	"fmt"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

type figures struct {
	Seconds float64 `json:"seconds"`
	PeakMiB float64 `json:"peakMiB"`
}

// One shared informer over all pods, from its start until it has synced.
func sync(clients kubernetes.Interface, expected int, trim bool) (figures, error) {
	options := []informers.SharedInformerOption{}
	if trim {
		options = append(options, informers.WithTransform(trimmed))
	}
	started := time.Now()
	factory := informers.NewSharedInformerFactoryWithOptions(clients, 0, options...)
	informer := factory.Core().V1().Pods().Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	cache.WaitForCacheSync(stop, informer.HasSynced)
	seconds := time.Since(started).Seconds()
	if seen := len(informer.GetStore().ListKeys()); seen != expected {
		return figures{}, fmt.Errorf("the informer sees %d pods of %d", seen, expected)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return figures{}, err
	}
	return figures{Seconds: seconds, PeakMiB: float64(usage.Maxrss) / 1024}, nil
}

// What our projection keeps of a pod.
func trimmed(object any) (any, error) {
	pod, isPod := object.(*v1.Pod)
	if !isPod {
		return object, nil
	}
	kept := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp, Labels: pod.Labels,
		},
		Spec:   v1.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork, SecurityContext: pod.Spec.SecurityContext},
		Status: v1.PodStatus{Phase: pod.Status.Phase, Conditions: pod.Status.Conditions, StartTime: pod.Status.StartTime},
	}
	for _, container := range pod.Spec.Containers {
		limits := v1.ResourceRequirements{Limits: container.Resources.Limits}
		kept.Spec.Containers = append(kept.Spec.Containers, v1.Container{Name: container.Name, Ports: container.Ports, Resources: limits})
	}
	return kept, nil
}
