// Drives coordd by @grpc/grpc-js.
const assert = require("assert");
const crypto = require("crypto");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const endpoint = process.argv[2];
const options = { keepCase: true, longs: String, enums: String, defaults: true, includeDirs: [process.env.PROTO] };
const load = (file) => grpc.loadPackageDefinition(loader.loadSync(file, options));
const { coord } = load([
  "coord/v1/tree.proto",
  "coord/v1/cluster.proto",
  "coord/v1/lease.proto",
  "coord/v1/session.proto",
]);
const { grpc: standard } = load(["grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto"]);
const credentials = grpc.credentials.createInsecure();
const tree = new coord.v1.Tree(endpoint, credentials);
const cluster = new coord.v1.Cluster(endpoint, credentials);
const leases = new coord.v1.Lease(endpoint, credentials);
const sessions = new coord.v1.Session(endpoint, credentials);
const base = `/compat-${crypto.randomUUID()}`;
const tests = [];
const test = (name, run) => tests.push({ name, run });

// One unary call as a promise.
const call = (stub, method, request, callOptions = {}) =>
  new Promise((resolve, reject) =>
    stub[method](request, new grpc.Metadata(), { deadline: Date.now() + 60000, ...callOptions }, (error, reply) =>
      error ? reject(error) : resolve(reply)
    )
  );

const fails = async (code, promise) => {
  const error = await promise.then(
    () => assert.fail(`no ${grpc.status[code]}`),
    (e) => e
  );
  assert.strictEqual(error.code, code, `${error.code}: ${error.details}`);
  return error;
};

test("create, get, set, delete", async () => {
  const created = await call(tree, "Create", { path: `${base}/a`, data: Buffer.from("one") });
  assert.strictEqual(created.path, `${base}/a`);
  const got = await call(tree, "Get", { path: `${base}/a` });
  assert.strictEqual(got.data.toString(), "one");
  assert.notStrictEqual(got.header.cluster_id, "0");
  const set = await call(tree, "Set", { path: `${base}/a`, data: Buffer.from("two"), expect: { version: 0 } });
  assert.strictEqual(set.stat.version, 1);
  const deleted = await call(tree, "Delete", { path: `${base}/a` });
  assert.strictEqual(deleted.count, "1");
  assert.strictEqual((await call(tree, "Exists", { path: `${base}/a` })).exists, false);
});

test("refusals have code, text and outcome", async () => {
  const path = `${base}/käse-100%`;
  const error = await fails(grpc.status.NOT_FOUND, call(tree, "Get", { path }));
  assert.strictEqual(error.details, `${path}: node does not exist`);
  assert.deepStrictEqual(error.metadata.get("coord-outcome"), ["NO_NODE"]);
});

test("large values and refused ones", async () => {
  await call(tree, "Create", { path: `${base}/big`, data: Buffer.alloc(1 << 20) });
  assert.strictEqual((await call(tree, "Get", { path: `${base}/big` })).data.length, 1 << 20);
  const over = call(tree, "Set", { path: `${base}/big`, data: Buffer.alloc((1 << 20) + 1) });
  await fails(grpc.status.RESOURCE_EXHAUSTED, over);
  const far = call(tree, "Set", { path: `${base}/big`, data: Buffer.alloc(5 << 20) });
  await fails(grpc.status.RESOURCE_EXHAUSTED, far);
});

test("transactions", async () => {
  const reply = await call(tree, "Txn", {
    guards: [{ path: `${base}/t`, exists: false }],
    then_ops: [{ create: { path: `${base}/t` } }, { list: { path: base } }],
  });
  assert.strictEqual(reply.took_then, true);
  assert.ok(reply.results[1].children.includes("t"));
});

// All replies of a stream to which these requests are written at once.
const exchange = (stream, requests) =>
  new Promise((resolve, reject) => {
    const replies = [];
    stream.on("data", (reply) => replies.push(reply)).on("end", () => resolve(replies)).on("error", reject);
    requests.forEach((request) => stream.write(request));
    stream.end();
  });

test("a lease, kept alive and revoked", async () => {
  const { id } = await call(leases, "Grant", { ttl_ms: 20000 });
  await call(tree, "Create", { path: `${base}/l`, kind: "EPHEMERAL", lease: id });
  const replies = await exchange(leases.KeepAlive(), Array(500).fill({ id }).concat({ id: 1 }));
  assert.strictEqual(replies.length, 501);
  assert.ok(replies.slice(0, 500).every((r) => r.outcome === "OK" && r.ttl_ms === "20000" && r.id === id));
  assert.strictEqual(replies[500].outcome, "NO_LEASE");
  const left = await call(leases, "TimeToLive", { id, with_paths: true });
  assert.deepStrictEqual(left.paths, [`${base}/l`]);
  assert.strictEqual((await call(leases, "Revoke", { id })).removed, "1");
  assert.strictEqual((await call(tree, "Exists", { path: `${base}/l` })).exists, false);
  await fails(grpc.status.OUT_OF_RANGE, call(leases, "Grant", { ttl_ms: 1 }));
});

test("a session and what is written in its name", async () => {
  const { id, secret } = await call(sessions, "Open", {});
  assert.strictEqual(secret.length, 16);
  const header = { session: { id, sequence: 1 } };
  const request = { header, path: `${base}/s-`, sequential: true, kind: "EPHEMERAL" };
  const first = await call(tree, "Create", request);
  const second = await call(tree, "Create", request);
  assert.strictEqual(first.path, second.path);
  assert.strictEqual(second.header.repeated, true);
  assert.strictEqual(first.stat.lease, id);
  const replies = await exchange(sessions.KeepAlive(), [{ id, secret }, { id, secret: Buffer.alloc(16) }]);
  assert.deepStrictEqual(
    replies.map((r) => r.outcome),
    ["OK", "BAD_SECRET"]
  );
  assert.strictEqual((await call(sessions, "Resume", { id, secret, ttl_ms: 700 })).ttl_ms, "700");
  assert.strictEqual((await call(sessions, "Close", { id, secret })).removed, "1");
  const error = await fails(grpc.status.NOT_FOUND, call(tree, "Create", request));
  assert.deepStrictEqual(error.metadata.get("coord-outcome"), ["NO_SESSION"]);
});

test("compression is refused", async () => {
  const compressing = new coord.v1.Tree(endpoint, credentials, { "grpc.default_compression_algorithm": 2 });
  await fails(grpc.status.UNIMPLEMENTED, call(compressing, "Get", { path: "/" + "a".repeat(1000) }));
  compressing.close();
});

test("unknown methods", async () => {
  const client = new grpc.Client(endpoint, credentials);
  const identity = (x) => x;
  const unknown = new Promise((resolve, reject) =>
    client.makeUnaryRequest("/coord.v1.Tree/Nothing", identity, identity, Buffer.alloc(0), (e, r) =>
      e ? reject(e) : resolve(r)
    )
  );
  await fails(grpc.status.UNIMPLEMENTED, unknown);
  client.close();
});

test("deadlines", async () => {
  await fails(grpc.status.DEADLINE_EXCEEDED, call(tree, "Get", { path: "/" }, { deadline: Date.now() - 1 }));
});

test("status", async () => {
  const status = await call(cluster, "Status", {});
  assert.strictEqual(status.serving, true);
  assert.ok(status.members.length >= 1);
});

test("health, also watched", async () => {
  const health = new standard.health.v1.Health(endpoint, credentials);
  assert.strictEqual((await call(health, "Check", { service: "coord.v1.Tree" })).status, "SERVING");
  const watch = health.Watch({ service: "" });
  const first = await new Promise((resolve, reject) => watch.once("data", resolve).once("error", reject));
  assert.strictEqual(first.status, "SERVING");
  const ended = new Promise((resolve) => watch.once("error", resolve));
  watch.cancel();
  assert.strictEqual((await ended).code, grpc.status.CANCELLED);
  health.close();
});

test("reflection, several questions on one stream", async () => {
  const reflection = new standard.reflection.v1.ServerReflection(endpoint, credentials);
  const stream = reflection.ServerReflectionInfo();
  const replies = [];
  const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  stream.on("data", (reply) => replies.push(reply));
  stream.write({ list_services: "" });
  stream.write({ file_containing_symbol: "coord.v1.Tree" });
  stream.write({ file_containing_symbol: "no.such.Thing" });
  stream.end();
  await ended;
  assert.ok(replies[0].list_services_response.service.some((s) => s.name === "coord.v1.Tree"));
  assert.strictEqual(replies[1].file_descriptor_response.file_descriptor_proto.length, 2);
  assert.strictEqual(replies[2].error_response.error_code, grpc.status.NOT_FOUND);
  reflection.close();
});

test("thousands of concurrent calls", async () => {
  await call(tree, "Create", { path: `${base}/n` });
  const create = () => call(tree, "Create", { path: `${base}/n/x-`, sequential: true }, { deadline: Date.now() + 60000 });
  const replies = await Promise.all(Array.from({ length: 3000 }, create));
  assert.strictEqual(new Set(replies.map((r) => r.path)).size, 3000);
});

test("thousands of cancelled calls", async () => {
  for (let i = 0; i < 3000; i++) {
    tree.Get({ path: "/" }, () => {}).cancel();
  }
  assert.ok((await call(tree, "Get", { path: "/" })).stat.child_count > 0);
});

(async () => {
  let failed = 0;
  await call(tree, "Create", { path: base });
  for (const { name, run } of tests) {
    try {
      await run();
    } catch (error) {
      failed++;
      console.log(`FAIL ${name}: ${error.message}`);
    }
  }
  // Not by client.close(): of sessions that is a method of the service.
  [tree, cluster, leases, sessions].forEach((client) => grpc.Client.prototype.close.call(client));
  console.log(`${tests.length - failed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
})();
