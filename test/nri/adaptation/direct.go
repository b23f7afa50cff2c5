package main

import (
	"context"
	"log"
	"net"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"
)

const requestTimeout = 2 * time.Second

// The bare connection to the first plugin that connects: calls that the adaptation of today does not make.
type bare struct {
	state  []*api.PodSandbox
	client chan *ttrpc.Client
}

func openDirect(socket string, state []*api.PodSandbox) (runtime, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	side := &bare{state: state, client: make(chan *ttrpc.Client, 1)}
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		side.accept(connection)
	}()
	return side, nil
}

func (b *bare) accept(connection net.Conn) {
	mux := multiplex.Multiplex(connection, multiplex.WithBlockedRead())
	pluginSide, err := mux.Open(multiplex.PluginServiceConn)
	if err != nil {
		log.Fatal(err)
	}
	runtimeSide, err := mux.Listen(multiplex.RuntimeServiceConn)
	if err != nil {
		log.Fatal(err)
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	registered := &registry{done: make(chan struct{})}
	api.RegisterRuntimeService(server, registered)
	go server.Serve(context.Background(), runtimeSide)
	client := ttrpc.NewClient(pluginSide)
	mux.Unblock()
	<-registered.done
	b.introduce(client)
}

func (b *bare) introduce(client *ttrpc.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	plugin := api.NewPluginClient(client)
	if _, err := plugin.Configure(ctx, &api.ConfigureRequest{RuntimeName: "cri-o", RuntimeVersion: "1.29"}); err != nil {
		log.Fatal(err)
	}
	if _, err := plugin.Synchronize(ctx, &api.SynchronizeRequest{Pods: b.state}); err != nil {
		log.Fatal(err)
	}
	b.client <- client
	print(line{State: "synchronized"})
}

func (b *bare) call(parent context.Context, r *request) (*api.ContainerAdjustment, error) {
	client := <-b.client
	b.client <- client
	ctx, cancel := context.WithTimeout(parent, requestTimeout)
	defer cancel()
	plugin := api.NewPluginClient(client)
	switch r.Method {
	case "StateChange":
		_, err := plugin.StateChange(ctx, &api.StateChangeEvent{Event: api.Event(r.Event), Pod: r.pod, Container: r.container})
		return nil, err
	case "CreateContainer":
		reply, err := plugin.CreateContainer(ctx, &api.CreateContainerRequest{Pod: r.pod, Container: r.container})
		return reply.GetAdjust(), err
	}
	err := client.Call(ctx, "nri.pkg.api.v1alpha1.Plugin", r.Method, &api.Empty{}, &api.Empty{})
	return nil, err
}

type registry struct {
	done chan struct{}
}

func (r *registry) RegisterPlugin(context.Context, *api.RegisterPluginRequest) (*api.Empty, error) {
	close(r.done)
	return &api.Empty{}, nil
}

func (r *registry) UpdateContainers(context.Context, *api.UpdateContainersRequest) (*api.UpdateContainersResponse, error) {
	return &api.UpdateContainersResponse{}, nil
}
