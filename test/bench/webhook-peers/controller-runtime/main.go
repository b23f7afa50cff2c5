// A pod webhook as one is written with controller-runtime: a typed Defaulter that looks a pod up by label selector in
// memory and sets two fields. It prints its port once it serves.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type budget struct {
	name     string
	selector labels.Selector
	plan     map[string]string
	sysctls  []corev1.Sysctl
}

type podPlanner struct{ budgets map[string][]budget }

func (planner *podPlanner) Default(ctx context.Context, pod *corev1.Pod) error {
	request, err := admission.RequestFromContext(ctx)
	if err != nil {
		return err
	}
	for _, budget := range planner.budgets[request.Namespace] {
		if budget.selector.Matches(labels.Set(pod.Labels)) {
			return budget.applyTo(pod)
		}
	}
	return nil
}

func (b *budget) applyTo(pod *corev1.Pod) error {
	plan, err := json.Marshal(b.plan)
	if err != nil {
		return err
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations["connectionbudget.io/plan"] = string(plan)
	if pod.Spec.SecurityContext == nil {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	pod.Spec.SecurityContext.Sysctls = append(pod.Spec.SecurityContext.Sysctls, b.sysctls...)
	return nil
}

func budgets() map[string][]budget {
	selector := labels.SelectorFromSet(labels.Set{"app": "gateway"})
	plan := map[string]string{"budget": "gateway", "keyId": "bench", "plan": string(make([]byte, 0, 800))}
	for index := range 20 {
		plan[fmt.Sprintf("setting-%d", index)] = "a value of about forty characters, like it"
	}
	sysctls := []corev1.Sysctl{
		{Name: "net.ipv4.ip_local_port_range", Value: "10240 65535"},
		{Name: "net.ipv4.ip_local_reserved_ports", Value: "11883"},
	}
	gateway := []budget{{name: "gateway", selector: selector, plan: plan, sysctls: sysctls}}
	return map[string][]budget{"messaging": gateway, "theirs": gateway}
}

// The server listens on its own, so the port is chosen before and looked for after.
func announce(port int) {
	config := &tls.Config{InsecureSkipVerify: true}
	for {
		connection, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", fmt.Sprintf("127.0.0.1:%d", port), config)
		if err == nil {
			connection.Close()
			fmt.Println(port)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func main() {
	port := flag.Int("port", 9443, "where it listens")
	certificates := flag.String("certificates", "", "folder of tls.crt and tls.key")
	flag.Parse()
	log.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: *port, CertDir: *certificates})
	var handler http.Handler = admission.WithDefaulter(scheme, &podPlanner{budgets: budgets()})
	server.Register("/mutate-pods", handler)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go announce(*port)
	if err := server.Start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
