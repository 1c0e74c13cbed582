// Drives coordd by grpc-go.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	coordv1 "coord/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
)

type world struct {
	conn    *grpc.ClientConn
	tree    coordv1.TreeClient
	cluster coordv1.ClusterClient
	lease   coordv1.LeaseClient
	session coordv1.SessionClient
	base    string
}

func within(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), limit)
}

func check(ok bool, format string, args ...interface{}) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func must(err error) { check(err == nil, "%v", err) }

func fails(code codes.Code, err error) *status.Status {
	s := status.Convert(err)
	check(s.Code() == code, "want %v, got %v: %s", code, s.Code(), s.Message())
	return s
}

func roundTrip(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	path := w.base + "/a"
	created, err := w.tree.Create(ctx, &coordv1.CreateRequest{Path: path, Data: []byte("one")})
	must(err)
	got, err := w.tree.Get(ctx, &coordv1.GetRequest{Path: path})
	must(err)
	check(bytes.Equal(got.Data, []byte("one")), "data %q", got.Data)
	check(got.Header.Revision >= created.Header.Revision && got.Header.Node != "", "header")
	set, err := w.tree.Set(ctx, &coordv1.SetRequest{Path: path, Expect: &coordv1.Expect{Version: 0}})
	must(err)
	check(set.Stat.Version == 1, "version %d", set.Stat.Version)
	deleted, err := w.tree.Delete(ctx, &coordv1.DeleteRequest{Path: path})
	must(err)
	check(deleted.Count == 1, "count %d", deleted.Count)
}

func refusals(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	path := w.base + "/käse-100%"
	var trailer metadata.MD
	_, err := w.tree.Get(ctx, &coordv1.GetRequest{Path: path}, grpc.Trailer(&trailer))
	s := fails(codes.NotFound, err)
	check(s.Message() == path+": node does not exist", "%q", s.Message())
	check(len(trailer["coord-outcome"]) == 1 && trailer["coord-outcome"][0] == "NO_NODE", "%v", trailer)
	_, err = w.tree.Create(ctx, &coordv1.CreateRequest{Path: w.base})
	fails(codes.AlreadyExists, err)
	_, err = w.tree.Set(ctx, &coordv1.SetRequest{Path: w.base, Expect: &coordv1.Expect{Version: 9}})
	fails(codes.Aborted, err)
}

func largeValues(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	path := w.base + "/big"
	_, err := w.tree.Create(ctx, &coordv1.CreateRequest{Path: path, Data: make([]byte, 1<<20)})
	must(err)
	got, err := w.tree.Get(ctx, &coordv1.GetRequest{Path: path})
	must(err)
	check(len(got.Data) == 1<<20, "%d bytes", len(got.Data))
	_, err = w.tree.Set(ctx, &coordv1.SetRequest{Path: path, Data: make([]byte, 1<<20+1)})
	fails(codes.ResourceExhausted, err)
	_, err = w.tree.Set(ctx, &coordv1.SetRequest{Path: path, Data: make([]byte, 5<<20)})
	fails(codes.ResourceExhausted, err)
}

func transactions(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	path := w.base + "/t"
	reply, err := w.tree.Txn(ctx, &coordv1.TxnRequest{
		Guards: []*coordv1.Guard{{Path: path, Target: &coordv1.Guard_Exists{Exists: false}}},
		ThenOps: []*coordv1.Operation{
			{Op: &coordv1.Operation_Create{Create: &coordv1.CreateOp{Path: path}}},
			{Op: &coordv1.Operation_Check{Check: &coordv1.CheckOp{Path: path}}},
		},
	})
	must(err)
	check(reply.TookThen && reply.Outcome == coordv1.Outcome_OK && len(reply.Results) == 2, "%v", reply)
}

func leases(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	granted, err := w.lease.Grant(ctx, &coordv1.LeaseGrantRequest{TtlMs: 20000})
	must(err)
	_, err = w.tree.Create(ctx, &coordv1.CreateRequest{Path: w.base + "/l", Kind: coordv1.Kind_EPHEMERAL, Lease: granted.Id})
	must(err)
	stream, err := w.lease.KeepAlive(ctx)
	must(err)
	for i := 0; i < 100; i++ {
		must(stream.Send(&coordv1.LeaseKeepAliveRequest{Id: granted.Id}))
	}
	must(stream.Send(&coordv1.LeaseKeepAliveRequest{Id: 1}))
	must(stream.CloseSend())
	for i := 0; i < 100; i++ {
		alive, err := stream.Recv()
		must(err)
		check(alive.TtlMs == 20000 && alive.Outcome == coordv1.Outcome_OK, "%v", alive)
	}
	gone, err := stream.Recv()
	must(err)
	check(gone.TtlMs == 0 && gone.Outcome == coordv1.Outcome_NO_LEASE, "%v", gone)
	_, err = stream.Recv()
	check(err == io.EOF, "%v", err)
	revoked, err := w.lease.Revoke(ctx, &coordv1.LeaseRevokeRequest{Id: granted.Id})
	must(err)
	check(revoked.Removed == 1, "removed %d", revoked.Removed)
	_, err = w.lease.TimeToLive(ctx, &coordv1.LeaseTimeToLiveRequest{Id: granted.Id})
	fails(codes.NotFound, err)
	_, err = w.lease.Grant(ctx, &coordv1.LeaseGrantRequest{TtlMs: 86400001})
	fails(codes.OutOfRange, err)
}

func sessions(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	mine, err := w.session.Open(ctx, &coordv1.SessionOpenRequest{})
	must(err)
	check(len(mine.Secret) == 16 && mine.TtlMs == 10000, "%v", mine)
	header := &coordv1.RequestHeader{Session: &coordv1.SessionRef{Id: mine.Id, Sequence: 1}}
	create := &coordv1.CreateRequest{Header: header, Path: w.base + "/s-", Sequential: true, Kind: coordv1.Kind_EPHEMERAL}
	first, err := w.tree.Create(ctx, create)
	must(err)
	second, err := w.tree.Create(ctx, create)
	must(err)
	check(first.Path == second.Path && second.Header.Repeated, "%v, %v", first, second)
	check(first.Stat.Lease == mine.Id, "lease %d", first.Stat.Lease)
	_, err = w.session.Resume(ctx, &coordv1.SessionResumeRequest{Id: mine.Id, Secret: make([]byte, 16)})
	fails(codes.PermissionDenied, err)
	closed, err := w.session.Close(ctx, &coordv1.SessionCloseRequest{Id: mine.Id, Secret: mine.Secret})
	must(err)
	check(closed.Removed == 1, "removed %d", closed.Removed)
	_, err = w.tree.Create(ctx, create)
	s := fails(codes.NotFound, err)
	check(s.Message() == fmt.Sprintf("session %016x: session does not exist or has ended", mine.Id), "%q", s.Message())
}

func refusedCalls(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	_, err := w.tree.Get(ctx, &coordv1.GetRequest{Path: "/"}, grpc.UseCompressor(gzip.Name))
	fails(codes.Unimplemented, err)
	err = w.conn.Invoke(ctx, "/coord.v1.Tree/Nothing", &coordv1.GetRequest{}, &coordv1.GetReply{})
	fails(codes.Unimplemented, err)
	err = w.conn.Invoke(ctx, "/no.such.Service/Get", &coordv1.GetRequest{}, &coordv1.GetReply{})
	fails(codes.Unimplemented, err)
	short, stop := within(time.Nanosecond)
	defer stop()
	_, err = w.tree.Get(short, &coordv1.GetRequest{Path: "/"})
	fails(codes.DeadlineExceeded, err)
}

func statusAndMembers(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	reply, err := w.cluster.Status(ctx, &coordv1.StatusRequest{})
	must(err)
	check(reply.Serving && len(reply.Members) > 0, "%v", reply)
	_, err = w.cluster.Members(ctx, &coordv1.MembersRequest{})
	must(err)
}

func health(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	client := grpc_health_v1.NewHealthClient(w.conn)
	reply, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "coord.v1.Tree"})
	must(err)
	check(reply.Status == grpc_health_v1.HealthCheckResponse_SERVING, "%v", reply)
	_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "no"})
	fails(codes.NotFound, err)
	watch, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	must(err)
	first, err := watch.Recv()
	must(err)
	check(first.Status == grpc_health_v1.HealthCheckResponse_SERVING, "%v", first)
	cancel()
	_, err = watch.Recv()
	fails(codes.Canceled, err)
}

func reflection(w *world) {
	ctx, cancel := within(time.Minute)
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(ctx)
	must(err)
	for i := 0; i < 100; i++ {
		must(stream.Send(&reflectionpb.ServerReflectionRequest{
			MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "coord.v1.Tree"}}))
		reply, err := stream.Recv()
		must(err)
		check(len(reply.GetFileDescriptorResponse().GetFileDescriptorProto()) == 2, "%v", reply)
	}
	must(stream.CloseSend())
}

func concurrentCalls(w *world) {
	ctx, cancel := within(60 * time.Second)
	defer cancel()
	_, err := w.tree.Create(ctx, &coordv1.CreateRequest{Path: w.base + "/n"})
	must(err)
	var group sync.WaitGroup
	var lock sync.Mutex
	paths := map[string]bool{}
	for i := 0; i < 3000; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			reply, err := w.tree.Create(ctx, &coordv1.CreateRequest{Path: w.base + "/n/x-", Sequential: true})
			if err == nil {
				lock.Lock()
				paths[reply.Path] = true
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	check(len(paths) == 3000, "%d paths", len(paths))
}

func cancelledCalls(w *world) {
	var group sync.WaitGroup
	for i := 0; i < 3000; i++ {
		group.Add(1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer group.Done()
			_, _ = w.tree.Get(ctx, &coordv1.GetRequest{Path: "/"})
		}()
		cancel()
	}
	group.Wait()
	ctx, cancel := within(time.Minute)
	defer cancel()
	_, err := w.tree.Get(ctx, &coordv1.GetRequest{Path: "/"})
	must(err)
}

func main() {
	// Keepalive as eager as grpc-go allows: the server must not mind.
	alive := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true})
	conn, err := grpc.Dial(os.Args[1], grpc.WithInsecure(), alive)
	must(err)
	w := &world{conn, coordv1.NewTreeClient(conn), coordv1.NewClusterClient(conn),
		coordv1.NewLeaseClient(conn), coordv1.NewSessionClient(conn),
		fmt.Sprintf("/compat-go-%d", time.Now().UnixNano())}
	ctx, cancel := within(time.Minute)
	_, err = w.tree.Create(ctx, &coordv1.CreateRequest{Path: w.base}, grpc.WaitForReady(true))
	must(err)
	cancel()
	tests := []struct {
		name string
		run  func(*world)
	}{
		{"round trip", roundTrip}, {"refusals", refusals}, {"large values", largeValues},
		{"transactions", transactions}, {"leases", leases}, {"sessions", sessions}, {"refused calls", refusedCalls},
		{"status and members", statusAndMembers}, {"health", health}, {"reflection", reflection},
		{"concurrent calls", concurrentCalls}, {"cancelled calls", cancelledCalls},
	}
	failed := 0
	for _, t := range tests {
		func() {
			defer func() {
				if why := recover(); why != nil {
					failed++
					fmt.Printf("FAIL %s: %v\n", t.name, why)
				}
			}()
			t.run(w)
		}()
	}
	fmt.Printf("%d passed, %d failed\n", len(tests)-failed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
