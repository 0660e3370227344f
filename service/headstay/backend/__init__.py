"""From configuration to actions, from status to YANG. The only package that knows both the model and the engine.

`rules` says which schema path concerns which action, `plan` turns the changes of a commit into actions, `settings`
reads the engine's settings out of a tree, `report` writes status and events in the model's words.
"""
