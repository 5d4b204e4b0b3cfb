/* tools/main.c: the sapor command. */
#include <stdio.h>

#include "sapor.h"

int main(void)
{
    printf("sapor %s\n", SAPOR_VERSION);
    return 0;
}
