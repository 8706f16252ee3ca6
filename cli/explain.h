/* cli/explain.h - the two halves of `postern explain`; each takes the arguments behind its name. */
#pragma once

int cli_explain_sender(int argc, char **argv);
int cli_explain_destination(int argc, char **argv);
