// Drives three servers by node-zookeeper-client. Prints what checks.py's relay() understands.
const assert = require("assert");
const readline = require("readline");
const zookeeper = require("node-zookeeper-client");

const { ACL, CreateMode, Event, Exception, Id, Permission, State } = zookeeper;
const hosts = process.argv[2];
const checks = [];
const check = (sentence, run) => checks.push({ sentence, run });
const WAIT_MS = 20000 * Number(process.env.PATIENCE || 1);
let base;
let clients = [];

// A method with a callback as a promise of its last, or of all its results.
const call = (client, method, ...args) =>
  new Promise((resolve, reject) =>
    client[method](...args, (error, ...results) => (error ? reject(error) : resolve(results.length > 1 ? results : results[0])))
  );

const fails = async (code, promise) => {
  const error = await promise.then(
    (result) => assert.fail(`${code} expected, but done: ${result}`),
    (e) => e
  );
  assert.strictEqual(error.code, code, `${error}`);
};

const until = async (condition, what) => {
  const end = Date.now() + WAIT_MS;
  while (!(await condition())) {
    assert(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const connect = async (to = hosts, sessionTimeout = 20000) => {
  const client = zookeeper.createClient(to, { sessionTimeout, spinDelay: 50 });
  client.states = [];
  client.on("state", (state) => client.states.push(state.getName()));
  clients.push(client);
  client.connect();
  await until(() => client.getState() === State.SYNC_CONNECTED, "connected");
  return client;
};

const server = (client) => `127.0.0.1:${client.connectionManager.socket.remotePort}`;
const number = (long) => Number(long.readBigInt64BE(0));
const shown = (event) => `${event.getName()} ${event.getPath()}`;

const input = readline.createInterface({ input: process.stdin });
const ask = (what, address) =>
  new Promise((resolve) => {
    input.once("line", resolve);
    console.log(`${what} ${address}`);
  });

// What fails while servers change is tried again; a write that did happen is as good.
const persist = async (run, fine) => {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (error.code === fine) return undefined;
      if (error.code !== Exception.CONNECTION_LOSS || Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
};

check("a session has an id, a password of 16 bytes and the timeout", async () => {
  for (const [wanted, given] of [[100, 4000], [10000, 10000], [1000000, 40000]]) {
    const client = await connect(hosts, wanted);
    assert.strictEqual(client.getSessionTimeout(), given);
    assert.strictEqual(client.getSessionPassword().length, 16);
    assert.notStrictEqual(client.getSessionId().toString("hex"), "0000000000000000");
  }
});

check("create, getData, setData, exists and remove", async () => {
  const client = await connect();
  assert.strictEqual(await call(client, "create", base, Buffer.from("one")), base);
  let [data, stat] = await call(client, "getData", base);
  assert.strictEqual(data.toString(), "one");
  assert.deepStrictEqual([stat.version, stat.dataLength, stat.numChildren, number(stat.ephemeralOwner)], [0, 3, 0, 0]);
  assert.strictEqual(number(stat.czxid), number(stat.mzxid));
  const set = await call(client, "setData", base, Buffer.from("two"), 0);
  assert.strictEqual(set.version, 1);
  assert(number(set.mzxid) > number(stat.mzxid));
  await fails(Exception.BAD_VERSION, call(client, "setData", base, Buffer.from("x"), 0));
  await fails(Exception.BAD_VERSION, call(client, "remove", base, 0));
  stat = await call(client, "exists", base);
  assert.deepStrictEqual(stat, set);
  await call(client, "remove", base, 1);
  assert.strictEqual(await call(client, "exists", base), null);
  await fails(Exception.NO_NODE, call(client, "getData", base));
  await fails(Exception.NO_NODE, call(client, "getChildren", base));
});

check("null data, and each refusal with its code", async () => {
  const client = await connect();
  await call(client, "create", base);
  const [data, stat] = await call(client, "getData", base);
  assert.deepStrictEqual([data, stat.dataLength], [undefined, 0]);
  await fails(Exception.NODE_EXISTS, call(client, "create", base));
  await fails(Exception.NO_NODE, call(client, "create", `${base}/x/y`));
  await call(client, "create", `${base}/e`, CreateMode.EPHEMERAL);
  await fails(Exception.NO_CHILDREN_FOR_EPHEMERALS, call(client, "create", `${base}/e/x`));
  await fails(Exception.NOT_EMPTY, call(client, "remove", base));
  await fails(Exception.INVALID_ACL, call(client, "create", `${base}/a`, [new ACL(Permission.ALL, new Id("nosuch", "x"))]));
});

check("ephemeral and sequential nodes", async () => {
  const client = await connect();
  const other = await connect();
  await call(client, "create", base);
  assert.strictEqual(await call(client, "create", `${base}/s-`, CreateMode.PERSISTENT_SEQUENTIAL), `${base}/s-0000000000`);
  assert.strictEqual(await call(client, "create", `${base}/s-`, CreateMode.EPHEMERAL_SEQUENTIAL), `${base}/s-0000000001`);
  await until(async () => (await call(other, "exists", `${base}/s-0000000001`)) !== null, "seen by another");
  const stat = await call(other, "exists", `${base}/s-0000000001`);
  assert.strictEqual(stat.ephemeralOwner.toString("hex"), client.getSessionId().toString("hex"));
  client.close();
  await until(async () => (await call(other, "exists", `${base}/s-0000000001`)) === null, "gone with its session");
  assert.notStrictEqual(await call(other, "exists", `${base}/s-0000000000`), null);
});

check("mkdirp, getChildren with Stat, listSubTreeBFS, removeRecursive", async () => {
  const client = await connect();
  await call(client, "mkdirp", `${base}/a/b`);
  await call(client, "mkdirp", `${base}/a/c`);
  const [children, stat] = await call(client, "getChildren", `${base}/a`);
  assert.deepStrictEqual(children.sort(), ["b", "c"]);
  assert.deepStrictEqual([stat.numChildren, stat.cversion], [2, 2]);
  assert.deepStrictEqual((await call(client, "listSubTreeBFS", `${base}/a`)).sort(), ["a", "a/b", "a/c"].map((n) => `${base}/${n}`));
  await call(client, "removeRecursive", `${base}/a`, -1);
  assert.deepStrictEqual((await call(client, "getChildren", base))[0], []);
});

check("watches of data, existence and children tell once", async () => {
  const client = await connect();
  const other = await connect();
  const told = [];
  const watch = (event) => told.push(shown(event));
  await call(client, "exists", base, watch);
  await call(other, "create", base);
  await until(() => told.length === 1, "the create is told");
  await call(client, "getData", base, watch);
  await call(other, "setData", base, Buffer.from("x"));
  await call(other, "setData", base, Buffer.from("y"));
  await until(() => told.length === 2, "the change is told");
  await call(client, "getChildren", base, watch);
  await call(other, "create", `${base}/c`);
  await until(() => told.length === 3, "the child is told");
  await call(client, "exists", `${base}/c`, watch);
  await call(other, "remove", `${base}/c`);
  await until(() => told.length === 4, "the delete is told");
  assert.deepStrictEqual(told, [
    `NODE_CREATED ${base}`,
    `NODE_DATA_CHANGED ${base}`,
    `NODE_CHILDREN_CHANGED ${base}`,
    `NODE_DELETED ${base}/c`,
  ]);
  assert.strictEqual(Event.NODE_CREATED, 1);
});

check("transactions: all or nothing, with an error for each operation", async () => {
  const client = await connect();
  const commit = (transaction) =>
    new Promise((resolve) => transaction.commit((error, results) => resolve({ error, results })));
  let { error, results } = await commit(
    client.transaction().create(base).create(`${base}/s-`, null, CreateMode.EPHEMERAL_SEQUENTIAL)
      .setData(base, Buffer.from("x"), 0).check(base, 1).create(`${base}/gone`).remove(`${base}/gone`, 0)
  );
  assert(!error, `${error}`);
  assert.strictEqual(results.length, 6);
  assert.strictEqual(results[1].path, `${base}/s-0000000000`);
  assert.strictEqual(results[2].stat.version, 1);
  ({ error, results } = await commit(
    client.transaction().create(`${base}/a`).check(base, 7).remove(base)
  ));
  assert.strictEqual(error.code, Exception.BAD_VERSION);
  assert.deepStrictEqual(results.map((result) => result.err), [0, Exception.BAD_VERSION, Exception.RUNTIME_INCONSISTENCY]);
  assert.strictEqual(await call(client, "exists", `${base}/a`), null);
});

check("ACLs and digest users", async () => {
  const ann = await connect();
  const other = await connect();
  ann.addAuthInfo("digest", Buffer.from("ann:secret"));
  await call(ann, "create", base, Buffer.from("v"), ACL.CREATOR_ALL_ACL);
  const [acls, stat] = await call(ann, "getACL", base);
  assert.deepStrictEqual(acls.map((acl) => [acl.permission, acl.id.scheme, acl.id.id]),
    [[Permission.ALL, "digest", "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM="]]);
  assert.strictEqual(stat.aversion, 0);
  await until(() => call(other, "exists", base).then((s) => s !== null, (e) => e.code === Exception.NO_AUTH), "known there");
  await fails(Exception.NO_AUTH, call(other, "getData", base));
  await fails(Exception.NO_AUTH, call(other, "setData", base, Buffer.from("x")));
  await fails(Exception.BAD_VERSION, call(ann, "setACL", base, ACL.OPEN_ACL_UNSAFE, 7));
  const after = await call(ann, "setACL", base, ACL.READ_ACL_UNSAFE, 0);
  assert.strictEqual(after.aversion, 1);
  await until(() => call(other, "getData", base).then(() => true, () => false), "open to read");
  await fails(Exception.NO_AUTH, call(other, "setData", base, Buffer.from("x")));
});

check("an unknown scheme ends in AUTH_FAILED", async () => {
  const client = await connect();
  client.addAuthInfo("nosuch", Buffer.from("x"));
  await until(() => client.states.includes("AUTH_FAILED"), "the failure is told");
});

check("10000 requests may be under way", async () => {
  const client = await connect();
  await call(client, "create", base);
  const all = [];
  for (let i = 0; i < 10000; i++) all.push(call(client, i % 10 ? "exists" : "setData", base, i % 10 ? () => {} : Buffer.from(`${i}`)));
  const results = await Promise.all(all);
  results.forEach((stat, i) => assert.strictEqual(stat.version, Math.floor(i / 10) + 1));
});

check("a wrong password ends in EXPIRED", async () => {
  const client = await connect();
  client.connectionManager.sessionPassword = Buffer.alloc(16, 1);
  client.connectionManager.socket.destroy();
  await until(() => client.states.includes("EXPIRED"), "expired");
});

check("when its server is killed the session goes on elsewhere, with ephemerals, users and watches", async () => {
  const client = await connect();
  const told = [];
  const id = client.getSessionId().toString("hex");
  client.addAuthInfo("digest", Buffer.from("ann:secret"));
  await call(client, "create", base);
  // Everybody may look, only its creator may change it.
  const acls = [new ACL(Permission.READ, Id.ANYONE_ID_UNSAFE), new ACL(Permission.WRITE, Id.AUTH_IDS)];
  await call(client, "create", `${base}/mine`, acls, CreateMode.EPHEMERAL);
  await call(client, "getData", base, (event) => told.push(shown(event)));
  await call(client, "exists", `${base}/made`, (event) => told.push(shown(event)));
  await call(client, "getChildren", base, (event) => told.push(shown(event)));
  const dead = server(client);
  const other = await connect(hosts.split(",").filter((host) => host !== dead)[0]);
  await ask("kill", dead);
  await persist(() => call(other, "setData", base, Buffer.from("missed")));
  await persist(() => call(other, "create", `${base}/made`), Exception.NODE_EXISTS);
  await until(() => told.length >= 3, "what happened meanwhile is told");
  assert.deepStrictEqual(told.sort(), [`NODE_CHILDREN_CHANGED ${base}`, `NODE_CREATED ${base}/made`, `NODE_DATA_CHANGED ${base}`]);
  assert.strictEqual(client.getSessionId().toString("hex"), id);
  assert(!client.states.includes("EXPIRED"));
  const stat = await persist(() => call(client, "exists", `${base}/mine`));
  assert.strictEqual(stat.ephemeralOwner.toString("hex"), id);
  await persist(() => call(client, "setData", `${base}/mine`, Buffer.from("x")));
  await fails(Exception.NO_AUTH, persist(() => call(other, "setData", `${base}/mine`, Buffer.from("x"))));
  await ask("start", dead);
  client.close();
  await until(() => persist(() => call(other, "exists", `${base}/mine`)).then((found) => found === null), "gone with the session");
});

(async () => {
  for (const [i, { sentence, run }] of checks.entries()) {
    base = `/node-${i}`;
    try {
      await run();
      console.log(`ok node-zookeeper-client: ${sentence}`);
    } catch (error) {
      console.log(`FAIL node-zookeeper-client: ${sentence}: ${String(error.message).replace(/\n/g, " ")}`);
    }
    clients.forEach((client) => client.close());
    clients = [];
  }
  console.log("end");
  process.exit(0);
})();
