def run(family, options, ledger): pass
