// The part of the list-and-watch bench that is in Go: fills an API server with pods, and is the informer that we are
// measured against.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the API server")
	follow := flag.Bool("follow", false, "sync an informer instead of filling")
	trim := flag.Bool("trim", false, "the informer keeps what our projection keeps")
	etcd := flag.String("etcd", "", "the URL of its etcd; only to fill")
	crowd := crowd{}
	flag.IntVar(&crowd.pods, "pods", 0, "how many to create, or to expect")
	flag.IntVar(&crowd.namespaces, "namespaces", 1, "spread over so many")
	flag.IntVar(&crowd.apps, "apps", 1, "values of the label app, all namespaces together")
	flag.Parse()
	clients, err := clientsFor(*kubeconfig)
	if err == nil {
		err = run(clients, crowd, work{store(*etcd), *follow, *trim})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type work struct {
	store        store
	follow, trim bool
}

func run(clients kubernetes.Interface, crowd crowd, work work) error {
	if !work.follow {
		return fill(clients, crowd, work.store)
	}
	figures, err := sync(clients, crowd.pods, work.trim)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(figures)
}

// The pods come and go as protobuf, as in controller-runtime; nothing is held back on our side.
func clientsFor(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}
