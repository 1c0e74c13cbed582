/* Configurations of applications. */
#include "cmd/coordctl/commands/groups.h"

static const struct command commands[] = {
    {"config init", ctl_config_init, 1, 1, BEHIND_NOTHING, "versions open",
     "config init PATH [--versions N] [--open]", "make a subtree a configuration",
     "What is there already stays. From then on values below are written by config commands\n"
     "alone, unless --open lets others in. On one that is there: changes how much it keeps.\n"
     "  coordctl config init /config/shop --versions 50\n"},
    {"config drop", ctl_config_drop, 1, 1, BEHIND_NOTHING, "", "config drop PATH",
     "make it plain nodes again", "  coordctl config drop /config/shop\n"},
    {"config list", ctl_config_list, 0, 0, BEHIND_NOTHING, "", "config list",
     "all configurations", "  coordctl config list\n"},
    {"config get", ctl_config_get, 1, 1, BEHIND_NOTHING, "recursive rev",
     "config get KEY [--recursive] [--rev N]", "print a value, or all below",
     "Of one key exactly the value's bytes, and on a terminal, without -o raw, a newline.\n"
     "  coordctl config get /config/shop/limits\n"
     "  coordctl config get /config/shop --recursive --rev 1200\n"},
    {"config set", ctl_config_set, 2, 2, BEHIND_DATA, "version",
     "config set KEY VALUE [--version N]", "set a key, which need not be there",
     DATA_HELP "Refused unless the schema of the key allows it.\n"
               "  coordctl config set /config/shop/limits '{\"max\":10}' --note 'sale'\n"
               "  coordctl config set /config/shop/limits @limits.json --version 3\n"},
    {"config update", ctl_config_update, 0, 0, BEHIND_NOTHING, "file", "config update -f FILE",
     "change many keys at once, or none",
     "FILE is a JSON list of {\"key\", and one of \"value\" (any JSON), \"text\" and\n"
     "\"delete\": true; optionally \"version\": N or \"absent\": true}.\n"
     "  coordctl config update -f changes.json\n"},
    {"config watch", ctl_config_watch, 1, 1, BEHIND_PROGRAM,
     "recursive from-revision once types effective labels",
     "config watch KEY [--recursive] [...] [-- CMD ...]",
     "print changes as they come, with what was before",
     "As watch does, which says what a program behind -- finds in its environment.\n"
     "  coordctl config watch /config/shop --recursive -o jsonl\n"
     "  coordctl config watch /config/shop/limits --effective web-1 --labels zone=a\n"},
    {"config history", ctl_config_history, 1, 1, BEHIND_NOTHING,
     "recursive from-revision reverse limit", "config history KEY [--recursive] [--reverse] [...]",
     "who changed it, when and why",
     "  coordctl config history /config/shop --recursive --reverse --limit 20\n"},
    {"config diff", ctl_config_diff, 2, 3, BEHIND_NOTHING, "", "config diff KEY REV1 [REV2]",
     "what differs at and below a key between two revisions",
     "Without REV2: from then to now.\n"
     "  coordctl config diff /config/shop 1200 1300\n"},
    {"config rollback", ctl_config_rollback, 2, 2, BEHIND_NOTHING, "recursive dry-run",
     "config rollback KEY REV [--recursive] [--dry-run]", "make it again what it was",
     "By a new revision, which prints what it changes. Schemas stay as they are, and must allow\n"
     "it.\n"
     "  coordctl config rollback /config/shop 1200 --recursive --dry-run\n"},
    {"config rollout", ctl_config_rollout, 2, 3, BEHIND_DATA,
     "strategy percents step labels ids gate gate-health plan",
     "config rollout start|status|promote|finish|rollback|pause|resume|list KEY [...]",
     "give instances a new value step by step",
     "  start KEY VALUE    begin; --percents 10,50,100 are the steps of progressive, one of a\n"
     "                     canary; --labels and --ids say which instances it is for\n"
     "  status KEY         how far it is\n"
     "  promote KEY        the next step; from the last one the key itself is set\n"
     "  finish KEY         the same at once\n"
     "  rollback KEY       nobody sees the value any more\n"
     "  pause, resume KEY  no steps by time; the gate still counts\n"
     "  list KEY           all rollouts of the configuration\n" DATA_HELP
     "  coordctl config rollout start /config/shop/limits '{\"max\":20}' --percents 10,50,100 \\\n"
     "      --step 10m --gate /health/shop=ok --gate-health shop=90\n"
     "  coordctl config rollout promote /config/shop/limits\n"},
    {"config effective", ctl_config_effective, 2, 2, BEHIND_NOTHING, "labels",
     "config effective KEY INSTANCE [--labels NAME=VALUE,...]",
     "the value that is meant for an instance",
     "  coordctl config effective /config/shop/limits web-1 --labels zone=a\n"},
    {"config schema", ctl_config_schema, 1, 3, BEHIND_DATA, "",
     "config schema set|get|check|list|remove PATH [DATA]", "what values may be",
     "  set PATH SCHEMA    attach a JSON schema to a node, for it and all below\n"
     "  get KEY            the schema that counts for a key\n"
     "  check KEY [VALUE]  whether a value would be let in; without one, all that is there\n"
     "  list PATH          where schemas are attached\n"
     "  remove PATH        none there any more\n" DATA_HELP
     "  coordctl config schema set /config/shop @schema.json\n"
     "  coordctl config schema check /config/shop\n"},
};
const struct command_group commands_config = {commands, sizeof commands / sizeof commands[0]};
