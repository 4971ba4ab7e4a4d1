"""The command-line programs: circusd and circusctl."""
