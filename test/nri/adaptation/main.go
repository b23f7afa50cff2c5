// Plays the container runtime for one NRI socket with containerd's own implementation of that side. Requests come as
// JSON lines on standard input and are run one after the other (-direct: at once); results leave as JSON lines on
// standard output. It ends with its input.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/containerd/nri/pkg/api"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

type request struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	Pod       json.RawMessage `json:"pod"`
	Container json.RawMessage `json:"container"`
	Event     int32           `json:"event"`

	pod       *api.PodSandbox
	container *api.Container
}

type line struct {
	ID     int             `json:"id,omitempty"`
	State  string          `json:"state,omitempty"`
	Error  string          `json:"error,omitempty"`
	Code   uint32          `json:"code,omitempty"`
	Adjust json.RawMessage `json:"adjust,omitempty"`
}

// A side of the runtime that takes requests: the adaptation of containerd, or a bare connection to the plugin.
type runtime interface {
	call(ctx context.Context, r *request) (*api.ContainerAdjustment, error)
}

var printLock sync.Mutex

func main() {
	socket := flag.String("socket", "", "where plugins connect")
	pods := flag.Int("pods", 1, "sandboxes in the state that plugins are synchronized with")
	padding := flag.Int("padding", 0, "bytes of an annotation in each of these")
	direct := flag.Bool("direct", false, "speak to one plugin without the adaptation, as runtimes before containerd 2.3 do")
	flag.Parse()

	side, err := open(*socket, *direct, stateOf(*pods, *padding))
	if err != nil {
		log.Fatal(err)
	}
	print(line{State: "listening"})
	serve(side, *direct)
}

func open(socket string, direct bool, state []*api.PodSandbox) (runtime, error) {
	if direct {
		return openDirect(socket, state)
	}
	return openAdaptation(socket, state)
}

func stateOf(pods, padding int) []*api.PodSandbox {
	state := make([]*api.PodSandbox, pods)
	for i := range state {
		state[i] = &api.PodSandbox{
			Id:          fmt.Sprintf("existing-%d", i),
			Annotations: map[string]string{"padding": strings.Repeat("x", padding)},
		}
	}
	return state
}

func serve(side runtime, concurrently bool) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		r := parse(lines.Bytes())
		if concurrently {
			go answer(side, r)
		} else {
			answer(side, r)
		}
	}
}

func parse(text []byte) *request {
	r := &request{pod: &api.PodSandbox{}, container: &api.Container{}}
	if err := json.Unmarshal(text, r); err != nil {
		log.Fatal(err)
	}
	parseProto(r.Pod, r.pod)
	parseProto(r.Container, r.container)
	return r
}

func parseProto(text []byte, into proto.Message) {
	if len(text) == 0 {
		return
	}
	if err := protojson.Unmarshal(text, into); err != nil {
		log.Fatal(err)
	}
}

func answer(side runtime, r *request) {
	adjust, err := side.call(context.Background(), r)
	result := line{ID: r.ID}
	if err != nil {
		result.Error, result.Code = err.Error(), uint32(status.Code(err))
	}
	if adjust != nil {
		result.Adjust, _ = protojson.Marshal(adjust)
	}
	print(result)
}

func print(l line) {
	printLock.Lock()
	defer printLock.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		log.Fatal(err)
	}
}
