// Command go-control-plane is the control plane that most people write first: go-control-plane's snapshot cache behind
// its server, on a unix socket. Tests say by standard input what is in the snapshot, and read on standard output what
// clients ask for and are sent.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"sort"
	"sync"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
)

// A line of standard input: the whole snapshot of one node. Resources are Anys in protobuf's JSON.
type command struct {
	Node      string            `json:"node"`
	Version   string            `json:"version"`
	Resources []json.RawMessage `json:"resources"`
}

// A line of standard output: what a client said, or was sent.
type event struct {
	Kind        string   `json:"kind"`
	Type        string   `json:"type"`
	Subscribe   []string `json:"subscribe,omitempty"`
	Unsubscribe []string `json:"unsubscribe,omitempty"`
	Known       []string `json:"known,omitempty"`
	Error       string   `json:"error,omitempty"`
	Nonce       string   `json:"nonce,omitempty"`
	Sent        []string `json:"sent,omitempty"`
	Removed     []string `json:"removed,omitempty"`
}

func main() {
	snapshots := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	handler := server.NewServer(context.Background(), snapshots, callbacks())
	grpcServer := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, handler)
	secret.RegisterSecretDiscoveryServiceServer(grpcServer, handler)
	go func() {
		log.Fatal(grpcServer.Serve(listener))
	}()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if err := set(snapshots, lines.Bytes()); err != nil {
			log.Fatal(err)
		}
	}
}

func set(snapshots cache.SnapshotCache, line []byte) error {
	var said command
	if err := json.Unmarshal(line, &said); err != nil {
		return err
	}
	resources := map[string][]types.Resource{}
	for _, text := range said.Resources {
		var packed anypb.Any
		if err := protojson.Unmarshal(text, &packed); err != nil {
			return err
		}
		resource, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		resources[packed.TypeUrl] = append(resources[packed.TypeUrl], resource)
	}
	snapshot, err := cache.NewSnapshot(said.Version, resources)
	if err != nil {
		return err
	}
	return snapshots.SetSnapshot(context.Background(), said.Node, snapshot)
}

func callbacks() server.Callbacks {
	var writing sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(said event) {
		writing.Lock()
		defer writing.Unlock()
		if err := out.Encode(said); err != nil {
			log.Fatal(err)
		}
	}
	return server.CallbackFuncs{
		StreamDeltaRequestFunc: func(_ int64, request *discovery.DeltaDiscoveryRequest) error {
			known := make([]string, 0, len(request.InitialResourceVersions))
			for name := range request.InitialResourceVersions {
				known = append(known, name)
			}
			sort.Strings(known)
			say(event{
				Kind:        "request",
				Type:        request.TypeUrl,
				Subscribe:   request.ResourceNamesSubscribe,
				Unsubscribe: request.ResourceNamesUnsubscribe,
				Known:       known,
				Error:       request.ErrorDetail.GetMessage(),
				Nonce:       request.ResponseNonce,
			})
			return nil
		},
		StreamDeltaResponseFunc: func(_ int64, _ *discovery.DeltaDiscoveryRequest, response *discovery.DeltaDiscoveryResponse) {
			sent := make([]string, 0, len(response.Resources))
			for _, resource := range response.Resources {
				sent = append(sent, resource.Name)
			}
			sort.Strings(sent)
			say(event{
				Kind:    "response",
				Type:    response.TypeUrl,
				Nonce:   response.Nonce,
				Sent:    sent,
				Removed: response.RemovedResources,
			})
		},
	}
}
