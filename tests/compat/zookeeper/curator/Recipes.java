import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

/**
 * Curator's recipes, with two clients, while the server under one of them is killed. Speaks with
 * checks.py over standard input and output: see relay there.
 */
public class Recipes {
    private static final int PATIENCE_MS = 20000;
    private static final String BASE = "/curator";
    private static final BufferedReader answers =
            new BufferedReader(new InputStreamReader(System.in));
    private static String[] servers;
    private static CuratorFramework one;
    private static CuratorFramework two;
    private static boolean failed;

    private interface Check {
        void run() throws Exception;
    }

    private static void check(String sentence, Check body) {
        try {
            body.run();
            System.out.println("ok Curator: " + sentence);
        } catch (Exception | AssertionError e) {
            failed = true;
            e.printStackTrace();
            System.out.println("FAIL Curator: " + sentence + ": " + e);
        }
        System.out.flush();
    }

    private static void expect(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError("not so: " + what);
        }
    }

    /** Waits until it holds; a connection that is lost meanwhile is no answer. */
    private static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (System.currentTimeMillis() < end) {
            try {
                if (condition.call()) {
                    return;
                }
            } catch (KeeperException.ConnectionLossException e) {
                System.err.println("asked again: " + e);
            }
            Thread.sleep(10);
        }
        throw new AssertionError("not in time: " + what);
    }

    private static CuratorFramework connect(String hosts) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(hosts)
                .sessionTimeoutMs(15000)
                .connectionTimeoutMs(10000)
                .retryPolicy(new ExponentialBackoffRetry(50, 9, 1000))
                .build();
        client.start();
        client.blockUntilConnected();
        return client;
    }

    private static void ask(String request) throws Exception {
        System.out.println(request);
        System.out.flush();
        answers.readLine();
    }

    /** Kills the server that the first client talks to, and starts it again. */
    private static void killServer() throws Exception {
        String client = one.getZookeeperClient().getZooKeeper().toString();
        for (String server : servers) {
            String port = server.substring(server.lastIndexOf(':'));
            if (client.matches("(?s).*remoteserver:\\S*" + port + "\\s.*")) {
                ask("kill " + server);
                ask("start " + server);
                return;
            }
        }
        throw new AssertionError("connected to none of them: " + client);
    }

    private static void createBasics() throws Exception {
        one.create().creatingParentContainersIfNeeded().forPath(BASE + "/basic/node", new byte[] {1});
        one.create().orSetData().forPath(BASE + "/basic/node", new byte[] {2});
        expect(two.getData().forPath(BASE + "/basic/node")[0] == 2, "the data of the second create");
        String path = one.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                .forPath(BASE + "/basic/protected-");
        expect(two.checkExists().forPath(path).getEphemeralOwner() != 0, "an ephemeral node");
        one.transaction().forOperations(
                one.transactionOp().create().forPath(BASE + "/basic/t"),
                one.transactionOp().setData().withVersion(0).forPath(BASE + "/basic/t", new byte[] {3}),
                one.transactionOp().check().withVersion(1).forPath(BASE + "/basic/t"),
                one.transactionOp().delete().forPath(BASE + "/basic/node"));
        expect(two.checkExists().forPath(BASE + "/basic/node") == null, "deleted by the transaction");
    }

    private static Void takeTurns(CuratorFramework client, AtomicBoolean stop, AtomicInteger inside,
            AtomicInteger turns) throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(client, BASE + "/mutex");
        while (!stop.get()) {
            expect(mutex.acquire(PATIENCE_MS, TimeUnit.MILLISECONDS), "a turn in time");
            expect(inside.incrementAndGet() == 1, "alone with the mutex");
            turns.incrementAndGet();
            inside.decrementAndGet();
            mutex.release();
        }
        return null;
    }

    private static void mutexAcrossKills() throws Exception {
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        Future<?>[] all = new Future<?>[4];
        for (int i = 0; i < all.length; i++) {
            CuratorFramework client = i % 2 == 0 ? one : two;
            all[i] = threads.submit(() -> takeTurns(client, stop, inside, turns));
        }
        until("turns are taken", () -> turns.get() > 10);
        killServer();
        int before = turns.get();
        until("turns are taken behind the kill", () -> turns.get() > before + 10);
        stop.set(true);
        for (Future<?> thread : all) {
            thread.get();
        }
        threads.shutdown();
    }

    private static void latchAcrossKills() throws Exception {
        LeaderLatch first = new LeaderLatch(one, BASE + "/latch", "first");
        LeaderLatch second = new LeaderLatch(two, BASE + "/latch", "second");
        first.start();
        expect(first.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "the first leads");
        second.start();
        until("both take part", () -> first.getParticipants().size() == 2);
        killServer();
        until("one of them leads", () -> first.hasLeadership() ^ second.hasLeadership());
        first.close();
        expect(second.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "the second leads");
        second.close();
    }

    private static void semaphoreAndReadWriteLock() throws Exception {
        InterProcessSemaphoreV2 first = new InterProcessSemaphoreV2(one, BASE + "/semaphore", 1);
        InterProcessSemaphoreV2 second = new InterProcessSemaphoreV2(two, BASE + "/semaphore", 1);
        Lease lease = first.acquire();
        killServer();
        expect(second.acquire(300, TimeUnit.MILLISECONDS) == null, "no lease is left");
        first.returnLease(lease);
        lease = second.acquire(PATIENCE_MS, TimeUnit.MILLISECONDS);
        expect(lease != null, "a lease was given back");
        second.returnLease(lease);
        InterProcessReadWriteLock reader = new InterProcessReadWriteLock(one, BASE + "/rw");
        InterProcessReadWriteLock writer = new InterProcessReadWriteLock(two, BASE + "/rw");
        reader.readLock().acquire();
        expect(!writer.writeLock().acquire(300, TimeUnit.MILLISECONDS), "a reader keeps writers out");
        reader.readLock().release();
        expect(writer.writeLock().acquire(PATIENCE_MS, TimeUnit.MILLISECONDS), "the writer's turn");
        writer.writeLock().release();
    }

    private static void cachesAcrossKills() throws Exception {
        one.create().forPath(BASE + "/cache");
        try (TreeCache tree = new TreeCache(one, BASE + "/cache");
                CuratorCache cache = CuratorCache.build(one, BASE + "/cache")) {
            tree.start();
            cache.start();
            two.create().forPath(BASE + "/cache/before", new byte[] {1});
            until("the caches have the first", () -> cache.size() == 2
                    && tree.getCurrentData(BASE + "/cache/before") != null);
            killServer();
            two.create().forPath(BASE + "/cache/behind", new byte[] {2});
            two.delete().forPath(BASE + "/cache/before");
            until("the caches follow", () -> cache.size() == 2
                    && tree.getCurrentChildren(BASE + "/cache").size() == 1
                    && cache.get(BASE + "/cache/behind").isPresent()
                    && hasData(tree.getCurrentData(BASE + "/cache/behind"), (byte) 2));
        }
    }

    /** A cache knows of a node, and only later what is in it. */
    private static boolean hasData(ChildData node, byte... wanted) {
        return node != null && Arrays.equals(node.getData(), wanted);
    }

    private static void persistentNodeAcrossKills() throws Exception {
        try (PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false,
                BASE + "/persistent", new byte[] {1})) {
            node.start();
            expect(node.waitForInitialCreate(PATIENCE_MS, TimeUnit.MILLISECONDS), "it is created");
            killServer();
            two.delete().quietly().forPath(BASE + "/persistent");
            until("it is back", () -> two.checkExists().forPath(BASE + "/persistent") != null);
        }
    }

    public static void main(String[] arguments) throws Exception {
        servers = arguments[0].split(",");
        one = connect(arguments[0]);
        two = connect(arguments[0]);
        check("create with parents, protection, or set; transactions", Recipes::createBasics);
        check("InterProcessMutex excludes and goes on across a kill", Recipes::mutexAcrossKills);
        check("LeaderLatch has one leader across a kill", Recipes::latchAcrossKills);
        check("semaphore and read-write lock hold across a kill", Recipes::semaphoreAndReadWriteLock);
        if (arguments.length > 1) {
            check("TreeCache and CuratorCache follow across a kill", Recipes::cachesAcrossKills);
        }
        check("PersistentNode comes back across a kill", Recipes::persistentNodeAcrossKills);
        one.close();
        two.close();
        System.out.println("end");
        System.exit(failed ? 1 : 0);
    }
}
