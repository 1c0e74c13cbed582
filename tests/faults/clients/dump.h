/* The change log of one member as lines:
 *
 *     floor REVISION
 *     change REVISION SUB TYPE PATH VALUE MODIFIED VERSION CREATED LEASE REASON SESSION NOTE */
#ifndef FAULTS_DUMP_H
#define FAULTS_DUMP_H

/* To standard output; returns the exit code. What is wrong goes to standard error. */
int dump_changes(const char *endpoint);

#endif
