/* Measuring. */
#include "cmd/coordctl/commands/groups.h"

#define BENCH_OPTIONS "protocol connections in-flight duration warm-up processes "

static const struct command commands[] = {
    {"bench write", ctl_bench, 0, 0, BEHIND_NOTHING,
     BENCH_OPTIONS "keys value-size path keep retry",
     "bench write [--connections N] [--in-flight N] [...]", "measure writes: nodes are set",
     "A load on the cluster that is spoken to. The nodes are made first, below a parent of their\n"
     "own, and removed in the end; --path names it, and what is there already stays there.\n"
     "Each of connections x in-flight requests is followed by the next when it is answered;\n"
     "the latency is from sending to answer. The CPU time is that of the members, per request.\n"
     "  coordctl bench write --connections 64 --in-flight 16\n"
     "  coordctl bench write -c 1 --in-flight 1 --duration 10s -o json\n"
     "  coordctl bench write --protocol zookeeper --value-size 1K\n"},
    {"bench read", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "keys value-size path keep retry",
     "bench read [--consistency HOW] [...]", "measure reads of these nodes",
     "Over ZooKeeper's protocol reads are those of its sessions, whatever --consistency says.\n"
     "  coordctl bench read --connections 16 --in-flight 16\n"
     "  coordctl bench read --consistency local\n"},
    {"bench mixed", ctl_bench, 0, 0, BEHIND_NOTHING,
     BENCH_OPTIONS "keys value-size write-percent path keep retry",
     "bench mixed [--write-percent N] [...]", "measure reads with some writes",
     "  coordctl bench mixed --write-percent 25\n"},
    {"bench create", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "value-size path keep retry",
     "bench create [...]", "measure creates and deletes",
     "Each node that is created is deleted next; both are counted.\n"
     "  coordctl bench create --connections 8\n"},
    {"bench fill", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "keys value-size path",
     "bench fill --path PATH --keys N [...]", "create nodes and leave them there",
     "For what is to be seen with a large tree.\n"
     "  coordctl bench fill --path /ballast --keys 20000 --value-size 256\n"
     "  coordctl rm /ballast --recursive\n"},
    {"bench session", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "ttl",
     "bench session [--ttl TIME] [...]", "measure opening and closing of sessions",
     "Each session that is opened is closed next; both are counted. Over ZooKeeper's protocol\n"
     "each is a new connection.\n"
     "  coordctl bench session --in-flight 8\n"},
    {"bench lock", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "locks path ttl",
     "bench lock [--locks N] [...]", "measure how locks are acquired, released and handed over",
     "Each request under way is a client with a session of its own, that acquires a lock and\n"
     "releases it; pairs are counted, and the latency is that of acquiring. With fewer locks than\n"
     "clients these wait for each other: hand-over is from the request that releases to the\n"
     "answer of the next who waited.\n"
     "  coordctl bench lock --locks 1000\n"
     "  coordctl bench lock --locks 1 --connections 4 --in-flight 25\n"},
    {"bench elect", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "elections path ttl",
     "bench elect [--elections N] [...]", "measure how leaders are elected, resign and follow",
     "As bench lock, with elections: each client campaigns, leads, and resigns; pairs are\n"
     "counted, and the latency is that of campaigning. With fewer elections than clients,\n"
     "hand-over is from the request that resigns to the answer of the next leader.\n"
     "  coordctl bench elect --elections 1000\n"
     "  coordctl bench elect --elections 1 --connections 4 --in-flight 25\n"},
    {"bench watch", ctl_bench, 0, 0, BEHIND_NOTHING,
     BENCH_OPTIONS "watches value-size path keep",
     "bench watch [--watches N] [...]", "measure how changes reach many watches",
     "All watch one node, over the connections in turn. It is set when every watch has seen the\n"
     "last change; events are counted, and their latency is from sending the write.\n"
     "  coordctl bench watch --connections 20 --watches 1000\n"},
};
const struct command_group commands_bench = {commands, sizeof commands / sizeof commands[0]};
