// Posts one body again and again over kept TLS connections, as fast as they answer or at a fixed rate, and prints
// {"answers", "failed", "firstFailure", "p50Us", "p99Us"}. At a fixed rate a latency counts from when the request was due.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

type settings struct {
	url         *url.URL
	request     []byte
	tls         *tls.Config
	contains    []byte
	connections int
	perSecond   int
	duration    time.Duration
}

type tally struct {
	lock         sync.Mutex
	latencies    []time.Duration
	failed       int
	firstFailure string
}

func (t *tally) add(latency time.Duration, failure error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if failure == nil {
		t.latencies = append(t.latencies, latency)
		return
	}
	t.failed++
	if t.firstFailure == "" {
		t.firstFailure = failure.Error()
	}
}

type connection struct {
	socket *tls.Conn
	reader *bufio.Reader
}

func open(set settings) (*connection, error) {
	socket, err := tls.Dial("tcp", set.url.Host, set.tls)
	if err != nil {
		return nil, err
	}
	return &connection{socket, bufio.NewReaderSize(socket, 64<<10)}, nil
}

func (c *connection) post(set settings) error {
	if _, err := c.socket.Write(set.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 || !bytes.Contains(body, set.contains) {
		return fmt.Errorf("%s: %.500s", response.Status, body)
	}
	return nil
}

// When each next request is due, for many callers at once: at a fixed rate, or at once; false at the end.
func turns(set settings) func() (time.Time, bool) {
	start := time.Now()
	var count atomic.Int64
	return func() (time.Time, bool) {
		at := time.Now()
		if set.perSecond > 0 {
			at = start.Add(time.Duration(count.Add(1)) * time.Second / time.Duration(set.perSecond))
			time.Sleep(time.Until(at))
		}
		return at, at.Sub(start) < set.duration
	}
}

func (t *tally) run(set settings) error {
	var workers sync.WaitGroup
	connections := []*connection{}
	for range set.connections {
		c, err := open(set)
		if err != nil {
			return err
		}
		defer c.socket.Close()
		connections = append(connections, c)
	}
	next := turns(set)
	for _, c := range connections {
		workers.Go(func() {
			for at, more := next(); more; at, more = next() {
				err := c.post(set)
				t.add(time.Since(at), err)
			}
		})
	}
	workers.Wait()
	return nil
}

func (t *tally) percentile(part float64) float64 {
	if len(t.latencies) == 0 {
		return 0
	}
	return float64(t.latencies[int(float64(len(t.latencies)-1)*part)].Nanoseconds()) / 1000
}

func requestOf(target *url.URL, body []byte) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: %d\r\n"+
		"Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\n\r\n",
		target.RequestURI(), target.Host, len(body))
	return append([]byte(head), body...)
}

func read() settings {
	target := flag.String("url", "", "https://…")
	body := flag.String("body", "", "file to post")
	contains := flag.String("contains", "", "what every answer has in it")
	certificate := flag.String("certificate", "", "of the client, PEM; with -key")
	key := flag.String("key", "", "PEM")
	connections := flag.Int("connections", 1, "")
	perSecond := flag.Int("per-second", 0, "0: as fast as they answer")
	seconds := flag.Float64("seconds", 1, "")
	flag.Parse()
	parsed, err := url.Parse(*target)
	check(err)
	bytes, err := os.ReadFile(*body)
	check(err)
	config := &tls.Config{InsecureSkipVerify: true}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	duration := time.Duration(*seconds * float64(time.Second))
	return settings{parsed, requestOf(parsed, bytes), config, []byte(*contains), *connections, *perSecond, duration}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	set := read()
	all := &tally{}
	check(all.run(set))
	slices.Sort(all.latencies)
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"answers": len(all.latencies), "failed": all.failed, "firstFailure": all.firstFailure,
		"p50Us": all.percentile(0.5), "p99Us": all.percentile(0.99),
	}))
}
