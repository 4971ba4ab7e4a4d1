"""Work for a while, then crash: Circus replaces it at once."""

import random
import sys
import time

if __name__ == "__main__":
    time.sleep(random.uniform(10, 30))
    sys.exit("moody: that is all I can take")
