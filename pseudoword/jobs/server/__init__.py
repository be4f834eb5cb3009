"""What a server for several people needs: who asks, what each may name and how much, the log and what is measured."""
