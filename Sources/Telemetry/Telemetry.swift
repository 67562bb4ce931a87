// The module's content begins here.
