package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// The URL of the API server's etcd, whose JSON gateway is spoken to.
type store string

// etcd takes at most 128 operations in a transaction, and 1.5 MiB.
const podsPerTransaction = 100

type pair struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value,omitempty"`
}

type operation struct {
	Put pair `json:"requestPut"`
}

func keyOf(pod *v1.Pod) []byte { return []byte("/registry/pods/" + pod.Namespace + "/" + pod.Name) }

var serializer = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

func (store store) read(pod *v1.Pod) (*v1.Pod, error) {
	var answer struct {
		Kvs []pair `json:"kvs"`
	}
	if err := store.call("/v3/kv/range", pair{Key: keyOf(pod)}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Kvs) != 1 {
		return nil, errors.New("etcd does not have the pod where it is looked for")
	}
	stored := &v1.Pod{}
	err := runtime.DecodeInto(serializer, answer.Kvs[0].Value, stored)
	return stored, err
}

func (store store) writeAll(count int, podAt func(position int) *v1.Pod) error {
	encoder := scheme.Codecs.EncoderForVersion(serializer, v1.SchemeGroupVersion)
	for first := 0; first < count; first += podsPerTransaction {
		operations := []operation{}
		for position := first; position < min(first+podsPerTransaction, count); position++ {
			pod := podAt(position)
			value, err := runtime.Encode(encoder, pod)
			if err != nil {
				return err
			}
			operations = append(operations, operation{pair{keyOf(pod), value}})
		}
		if err := store.call("/v3/kv/txn", map[string]any{"success": operations}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (store store) call(path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response, err := http.Post(string(store)+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	received, err := io.ReadAll(response.Body)
	if err != nil || answer == nil && response.StatusCode == http.StatusOK {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answered %d: %s", response.StatusCode, received)
	}
	return json.Unmarshal(received, answer)
}
