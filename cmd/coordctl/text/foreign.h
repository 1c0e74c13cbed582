/* What somebody types whose hands know etcdctl or zkCli, and what coordctl calls it. */
#ifndef CMD_COORDCTL_TEXT_FOREIGN_H
#define CMD_COORDCTL_TEXT_FOREIGN_H

/* Words after "; here it is ", or NULL. `noun` is a noun of coordctl, NULL if there is none;
 * `word` what was typed, a command, a verb of that noun, or an option with its dashes. */
const char *foreign_answer(const char *noun, const char *word);

#endif
