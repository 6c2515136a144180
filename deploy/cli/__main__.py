from deploy.cli import app

# A process that a role starts to share its work imports this module again.
if __name__ == "__main__":
    app(prog_name="shuke")
