/* What the rest of the client must know about its session (client/client.h has the API). */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

struct client_session;

/* Forgets the session and closes its stream. */
void session_forget(struct client_session *s);

#endif
