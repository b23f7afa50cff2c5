package main

import (
	"context"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
)

// Makes namespaces that the webhook would see, and in them pods that run. The first pod goes through the API server; the
// others are written to etcd as the server stored that one, which is fifty times faster and reads the same.
func fill(clients kubernetes.Interface, crowd crowd, store store) error {
	for index := range crowd.namespaces {
		namespace := &v1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: namespaceName(index), Labels: map[string]string{"connectionbudget.io/enabled": "true"},
		}}
		if _, err := clients.CoreV1().Namespaces().Create(context.Background(), namespace, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := createRunning(clients, crowd.pod(0)); err != nil {
		return err
	}
	stored, err := store.read(crowd.pod(0))
	if err != nil {
		return err
	}
	return store.writeAll(crowd.pods-1, func(position int) *v1.Pod { return likeStored(stored, crowd.pod(position+1), position+1) })
}

func createRunning(clients kubernetes.Interface, pod *v1.Pod) error {
	pods := clients.CoreV1().Pods(pod.Namespace)
	created, err := pods.Create(context.Background(), pod, metav1.CreateOptions{FieldManager: "kube-controller-manager"})
	if err != nil {
		return err
	}
	created.Status = runningStatus(created, 0)
	_, err = pods.UpdateStatus(context.Background(), created, metav1.UpdateOptions{FieldManager: "kubelet"})
	return err
}

// The defaults and managed fields of the stored pod, with all that tells this one from it.
func likeStored(stored, pod *v1.Pod, index int) *v1.Pod {
	like := stored.DeepCopy()
	like.Name, like.Namespace, like.UID = pod.Name, pod.Namespace, types.UID(uuid.NewUUID())
	like.Labels, like.OwnerReferences = pod.Labels, pod.OwnerReferences
	like.Spec.NodeName = pod.Spec.NodeName
	for position, container := range pod.Spec.Containers {
		like.Spec.Containers[position].Image = container.Image
		like.Spec.Containers[position].Env = container.Env
	}
	like.Status = runningStatus(pod, index)
	like.Status.QOSClass = stored.Status.QOSClass
	return like
}
